"""What a run leaves behind leads to the same run: pasted, or read again, from anywhere."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from clrun.cli.main import main

QUICK = ("strategy=naive", "strategy.train_epochs=1", "device=cpu", "device.threads=1")


def record(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "run.json").read_text())


def matrix(folder: Path) -> Any:
    return json.loads((folder / "results.json").read_text())["accuracy_matrix"]


def save_arrays(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    x = np.random.default_rng(seed).integers(0, 255, (60, 8, 8), dtype=np.uint8)
    np.savez(path, x=x, y=np.arange(60) % 3)


@pytest.fixture
def run_on_arrays(workplace: Path) -> Path:
    """The folder of a run in here/, on here/data.npz; there/data.npz has other images."""
    save_arrays(workplace / "here" / "data.npz", 0)
    save_arrays(workplace / "there" / "data.npz", 1)
    return workplace / "here" / "run"


def start(folder: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.chdir(folder)
    return main(list(words))


@pytest.mark.parametrize("spelled", ["data.npz", "./data.npz", "../here/data.npz", "'~/data.npz'"])
def test_a_run_is_repeated_on_its_own_data_from_another_folder(
    spelled: str, run_on_arrays: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(workplace / "here"))
    words = (*QUICK, "benchmark=npz", f"benchmark.data_root={spelled}", "hydra.run.dir=run")
    assert start(run_on_arrays.parent, monkeypatch, *words) == 0

    monkeypatch.setenv("HOME", str(workplace / "there"))
    saved = ("--config-path", "../here/run/.hydra", "--config-name", "config")
    pasted = shlex.split(record(run_on_arrays)["command"])
    assert start(workplace / "there", monkeypatch, *saved, "hydra.run.dir=saved") == 0
    assert start(workplace / "there", monkeypatch, *pasted[1:-1], "hydra.run.dir=pasted") == 0

    first = record(run_on_arrays)
    assert Path(first["data"]["root"]).samefile(workplace / "here" / "data.npz")
    for name in ("saved", "pasted"):
        again = record(workplace / "there" / name)
        assert again["data"] == first["data"]
        assert again["config_hash"] == first["config_hash"]
        assert matrix(workplace / "there" / name) == matrix(run_on_arrays)


def test_other_data_have_another_fingerprint_and_another_hash(
    run_on_arrays: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (*QUICK, "benchmark=npz", "benchmark.data_root=data.npz", "hydra.run.dir=run")

    for name in ("here", "there"):
        assert start(workplace / name, monkeypatch, *words) == 0

    here, there = record(run_on_arrays), record(workplace / "there" / "run")
    assert here["data"]["fingerprint"] != there["data"]["fingerprint"]
    assert here["config_hash"] != there["config_hash"]


def test_every_record_of_classes_has_their_names(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = np.random.default_rng(0).integers(0, 255, (30, 8, 8), dtype=np.uint8)
    np.savez(workplace / "data.npz", x=x, y=np.array(["emu", "cat", "dog"] * 10))
    order = "benchmark.class_order=[emu,cat,dog]"
    words = ("benchmark=npz", "benchmark.data_root=data.npz", order, "hydra.run.dir=run")

    assert start(workplace, monkeypatch, *QUICK, *words) == 0

    log = (workplace / "run" / "metrics.jsonl").read_text()
    lines = [json.loads(line) for line in log.splitlines()]
    results = json.loads((workplace / "run" / "results.json").read_text())
    assert results["class_names"] == ["cat", "dog", "emu"]
    assert record(workplace / "run")["data"]["class_names"] == ["cat", "dog", "emu"]
    learnt = [x["class_names"] for x in lines if x["kind"] == "experience"]
    assert learnt == [["emu"], ["cat"], ["dog"]]


def test_what_came_from_the_environment_is_recorded_as_what_it_was(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARRAY_TASK", "3")

    assert main([*QUICK, "seed=${oc.env:ARRAY_TASK}", "hydra.run.dir=run"]) == 0

    assert "seed=3" in shlex.split(record(workplace / "run")["command"])
    assert yaml.safe_load((workplace / "run" / ".hydra" / "config.yaml").read_text())["seed"] == 3


@pytest.mark.parametrize(
    "words",
    [
        ("--config-dir", "mine", "experiment=tiny"),
        ("-cd", "mine", "experiment=tiny"),
        ("--config-dir=mine", "experiment=tiny"),
        ("--config-path", "saved", "--config-name", "other"),
        ("-cp", "saved", "-cn", "other"),
    ],
    ids=" ".join,
)
def test_the_command_has_its_config_words_with_absolute_folders(
    words: tuple[str, ...], workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = workplace / "mine" / "experiment" / "tiny.yaml"
    recipe.parent.mkdir(parents=True)
    recipe.write_text("# @package _global_\nseed: 5\n")
    assert main([*QUICK, "seed=5", "hydra.run.dir=first"]) == 0
    (workplace / "saved").mkdir()
    saved = (workplace / "first" / ".hydra" / "config.yaml").read_text()
    (workplace / "saved" / "other.yaml").write_text(saved)
    assert main([*words, "strategy.train_epochs=1", "hydra.run.dir=run"]) == 0

    pasted = shlex.split(record(workplace / "run")["command"])
    (workplace / "elsewhere").mkdir()
    assert start(workplace / "elsewhere", monkeypatch, *pasted[1:-1], "hydra.run.dir=again") == 0

    assert record(workplace / "elsewhere" / "again")["seeds"] == {"seed": 5}
    hashes = {record(workplace / name)["config_hash"] for name in ("run", "elsewhere/again")}
    assert len(hashes) == 1
