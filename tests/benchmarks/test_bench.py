"""The benchmark program at sizes of seconds: it runs, and the loops do what clrun does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SMALL = {"experiences": 2, "classes": 4, "classes_per_experience": 2, "test": 8}
CASES = {
    "mlp": {"side": 8, "channels": 1, "train": 48, **SMALL},
    "mobilenet_v1": {"side": 32, "channels": 3, "train": 24, **SMALL},
}
PROGRAM = """
import dataclasses, json, sys
sys.path[:0] = [sys.argv[1]]
import bench, cases
name, data, settings, output = sys.argv[2], *map(json.loads, sys.argv[3:5]), sys.argv[5]
case = next(case for case in cases.cases() if case.name == name)
small = dataclasses.replace(
    case, name="small", data=cases.Data(**data), settings=case.settings | settings
)
bench.cases = lambda: [small]
sys.argv = ["bench", "--case", "small", "--against", "raw", "--repeats", "1", "--output", output]
bench.main()
"""


def measured(tmp_path: Path, name: str, model: str, **settings: object) -> dict[str, dict]:
    """What each side told of a case at a small size."""
    words = [str(ROOT / "benchmarks"), name, json.dumps(CASES[model]), json.dumps(settings)]
    env = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", PROGRAM, *words, str(tmp_path)], env=env, check=True)
    return json.loads((tmp_path / "small.json").read_text())["repeats"][0]


def test_the_hand_written_replay_loop_makes_the_updates_of_clrun(tmp_path: Path) -> None:
    told = measured(tmp_path, "mlp_class_balanced", "mlp", mem_size=10, mb=16)

    assert told["raw"]["patterns"] == told["clrun"]["patterns"]
    assert told["raw"]["weights_difference"] < 1e-5


def test_the_hand_written_ar1_makes_the_updates_of_clrun(tmp_path: Path) -> None:
    told = measured(tmp_path, "ar1_si", "mobilenet_v1", rm_sz=20, mb=12, epochs=2)

    assert told["raw"]["patterns"] == told["clrun"]["patterns"]
    assert told["raw"]["weights_difference"] < 1e-3


def test_the_cases_can_be_listed() -> None:
    words = [sys.executable, str(ROOT / "benchmarks" / "bench.py"), "--list"]

    listed = subprocess.run(words, capture_output=True, text=True, check=True).stdout

    assert "ar1_3x240" in listed
    assert "mlp_reservoir" in listed
    assert "parity_ar1" in listed
