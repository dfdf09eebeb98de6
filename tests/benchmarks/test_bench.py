"""The benchmark program at sizes of seconds: its sides run, agree and are judged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SMALL = {"experiences": 2, "classes": 4, "classes_per_experience": 2, "test": 8}
MLP = {"side": 8, "channels": 1, "train": 48, **SMALL}
PHOTOS = {"side": 128, "channels": 3, "train": 48, **SMALL, "test": 4}
PROGRAM = """
import dataclasses, json, sys
sys.path[:0] = [sys.argv[1]]
import bench, cases
name, data, settings, output = sys.argv[2], *map(json.loads, sys.argv[3:5]), sys.argv[5]
case = next(case for case in cases.cases() if case.name == name)
data = cases.Data(**data) if data else None
small = dataclasses.replace(case, name="small", data=data, settings=case.settings | settings)
bench.cases = lambda: [small]
words = ["--case", "small", "--against", sys.argv[6], "--repeats", "1", "--output", output]
sys.argv = ["bench", *words]
bench.main()
"""


def measured(
    folder: Path, name: str, data: object, against: str = "raw", **settings: object
) -> dict[str, dict]:
    """The numbers of each side of a case at a small size."""
    words = [str(ROOT / "benchmarks"), name, json.dumps(data), json.dumps(settings)]
    env = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    program = [sys.executable, "-c", PROGRAM, *words, str(folder), against]
    subprocess.run(program, env=env, check=True)
    return json.loads((folder / "small.json").read_text())["repeats"][0]


def test_sides_measure_the_same_updates(tmp_path: Path) -> None:
    found = measured(tmp_path, "mlp_class_balanced", MLP, mem_size=10, mb=16)

    assert list(found) == ["clrun", "raw", "products"]
    assert found["raw"]["patterns"] == found["clrun"]["patterns"]
    assert found["raw"]["weights_difference"] < 1e-5


def test_herding_picks_what_the_definition_picks(tmp_path: Path) -> None:
    found = measured(tmp_path, "herding_20000", None, rows=300, kept=50)

    assert found["raw"]["weights_difference"] == 0
    assert found["clrun"]["sort_cpu"] < found["raw"]["sort_cpu"]


@pytest.mark.slow
def test_a_side_without_its_latent_cache_takes_longer(tmp_path: Path) -> None:
    small = PHOTOS | {"side": 32}

    found = measured(tmp_path, "latent_cache_27", small)

    assert found["clrun"]["accuracy"] == found["clrun_uncached"]["accuracy"]
    assert found["clrun"]["train_cpu"] < found["clrun_uncached"]["train_cpu"]


@pytest.mark.slow
def test_the_image_cache_is_measured(tmp_path: Path) -> None:
    found = measured(tmp_path, "image_cache", None, images=200, side_px=32)["image_cache"]

    assert found["over_loader"] > 1
    assert found["build_cpu"] > 0


@pytest.mark.slow
def test_what_a_memory_costs_as_it_grows_is_measured(tmp_path: Path) -> None:
    runs = {"reservoir": ["storage_policy=reservoir", "strategy.mix=add", "strategy.balance=none"]}
    small = {"sizes": [20, 60], "updates": 2, "runs": runs}

    found = measured(tmp_path, "memory_rows", None, "none", **small)["memory_growth"]

    assert 0 < found["reservoir_own_20"] < found["reservoir_update_20"]
    growth = found["reservoir_update_60"] / found["reservoir_update_20"]
    assert found["reservoir_update_growth"] == growth


@pytest.mark.slow
def test_a_sweep_is_measured_with_all_of_its_processes(tmp_path: Path) -> None:
    words = ["device=cpu", "strategy=naive", "strategy.train_epochs=1", "seed=0,1"]

    found = measured(tmp_path, "sweep_short", MLP, "none", sweep=words)["sweep"]

    assert found["jobs"] == 2
    assert found["total_cpu"] > found["jobs"] * found["driver_cpu"]
    assert found["run_cpu"] == found["total_cpu"] / 2
    assert 0 < found["ideal_share"] < 1


@pytest.mark.skipif("CLRUN_AVALANCHE" not in os.environ, reason="needs Avalanche's environment")
def test_ar1_has_the_losses_of_avalanches(tmp_path: Path) -> None:
    found = measured(tmp_path, "parity_ar1", PHOTOS, "avalanche", rm_sz=24, mb=24, epochs=1)

    assert found["parity"]["logits_difference"] < 1e-5
    assert found["parity"]["losses_difference"] < 1e-3


def test_the_cases_can_be_listed() -> None:
    words = [sys.executable, str(ROOT / "benchmarks" / "bench.py"), "--list"]

    listed = subprocess.run(words, capture_output=True, text=True, check=True).stdout

    assert "ar1_3x240" in listed
    assert "mlp_reservoir" in listed
    assert "parity_ar1" in listed
    assert "cache_memory" in listed
