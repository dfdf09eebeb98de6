"""A damaged run.json, as those who show and compare runs take it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from clrun import compose, run
from clrun.cli.main import main
from clrun.records.sound_record import sound_record, sound_results


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    words = ["benchmark=digits", "strategy=naive", "strategy.train_epochs=1"]
    run(compose(words), folder)
    return folder


DAMAGED: list[tuple[str, Any]] = [
    ("config", 5),
    ("config", {"nodes": None}),
    ("config", {"nodes": {"strategy": 5}}),
    ("config", {"nodes": {"strategy": {"option": "naive"}}}),
    ("config", {"root": "x", "nodes": {}}),
    ("config", {"checkpoint": -1.5, "nodes": {}}),
    ("seeds", {"seed": [0]}),
    ("seeds", 5),
    ("versions", 5),
    ("data", {"class_names": 5}),
    ("run_name", 5),
]


def test_a_record_that_is_whole_is_taken_as_it_is(whole: Path) -> None:
    assert sound_record(whole) == json.loads((whole / "run.json").read_text())


@pytest.mark.parametrize(("key", "value"), DAMAGED)
def test_what_is_damaged_is_left_out_and_no_verb_breaks(
    key: str, value: Any, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(whole, tmp_path / "damaged")
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(record | {key: value}))

    assert key not in sound_record(folder)
    assert main(["report", str(folder)]) == 0
    assert main(["report", str(folder), "--format", "md"]) == 0
    assert main(["watch", str(folder)]) == 0
    assert main(["runs", str(tmp_path)]) == 0
    assert main(["compare", str(folder), str(whole), "--anyway"]) in (0, 2)
    assert "Error" not in capsys.readouterr().err


def test_a_record_nested_too_deep_to_be_read_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("[" * 100_000)

    assert main(["runs", str(tmp_path)]) == 0
    assert sound_record(tmp_path) == {}


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("cost", 5),
        ("cost", {"train_steps": []}),
        ("cost", {"state_bytes": 5}),
        ("cost", {"state_bytes": {"rows": None}}),
        ("cost", {"wall_seconds": {"setup": "x"}}),
        ("memory", 5),
        ("memory", {"bytes": "x"}),
        ("notes", "x"),
    ],
)
def test_damaged_results_are_no_cost_and_no_error(
    part: str, value: Any, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(whole, tmp_path / "damaged")
    results = json.loads((folder / "results.json").read_text())
    (folder / "results.json").write_text(json.dumps(results | {part: value}))

    assert part not in sound_results(results | {part: value})
    assert sound_results(results) == results
    assert main(["report", str(folder)]) == 0
    assert main(["report", str(folder), "--format", "md"]) == 0
    assert main(["compare", str(folder), str(whole), "--anyway", "--json"]) in (0, 2)
    assert "Error" not in capsys.readouterr().err
