"""A run as its folder has it: completed, damaged, or one of many below a folder."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import clrun
from clrun.errors import ConfigError
from clrun.records.past_run import PastRun, read_run, runs_in


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> PastRun:
    folder = tmp_path_factory.mktemp("runs") / "run"
    words = ["strategy=naive", "strategy.train_epochs=1", "seed=3", "run_name=mine", "log_every=1"]
    clrun.run(clrun.compose(words), folder)
    return read_run(folder)


def test_it_has_what_was_run(run: PastRun):
    assert (run.status, run.label, run.name, run.seed) == (
        *("completed", "naive-digits-s3"),
        *("mine", 3),
    )
    assert run.overrides[:2] == ("strategy=naive", "strategy.train_epochs=1")
    assert run.options["strategy"] == "naive"
    assert run.options["benchmark"] == "digits"
    assert run.values["strategy.train_epochs"] == 1
    assert run.values["seed"] == 3
    assert run.values["checkpoint.keep"] == 2
    assert run.error is None


def test_its_numbers_are_those_of_results_json(run: PastRun):
    content = json.loads((run.folder / "results.json").read_text())

    assert run.results == content
    assert run.metrics == content["metrics"]
    assert run.notes == {k: v for k, v in content["notes"].items() if k in run.metrics}
    assert run.cost == content["cost"]
    assert run.memory == content["memory"]


def test_its_lines_are_those_of_the_kinds_asked_for(run: PastRun):
    text = (run.folder / "metrics.jsonl").read_text()
    every = [json.loads(line) for line in text.splitlines()]

    assert list(run.lines("epoch", "eval")) == [e for e in every if e["kind"] in ("epoch", "eval")]
    assert list(run.lines("step")) == [e for e in every if e["kind"] == "step"]
    assert list(run.lines()) == [e for e in every if e["kind"] != "step"]
    assert sum(e["kind"] == "step" for e in every) > 10


def test_one_without_results_and_with_a_cut_log_is_read_as_far_as_it_goes(tmp_path: Path):
    (tmp_path / "run.json").write_text('{"status": "failed", "error": "it broke", "config": null}')
    (tmp_path / "metrics.jsonl").write_text('{"kind": "epoch", "experience": 0, "epoch": 0}\n{"ki')

    run = read_run(tmp_path)

    assert (run.status, run.error, run.seed, run.name) == ("failed", "it broke", None, None)
    assert (run.results, run.cost, run.memory, run.values, run.options) == ({}, {}, {}, {}, {})
    assert [line["kind"] for line in run.lines()] == ["epoch"]
    assert set(run.metrics.values()) == {None}


def test_runs_are_found_below_a_folder_but_not_in_hidden_ones_nor_through_links(tmp_path: Path):
    for name in ("b/run", "a", ".sweep/shared/x"):
        (tmp_path / "many" / name).mkdir(parents=True)
        (tmp_path / "many" / name / "run.json").write_text("{}")
    (tmp_path / "many" / "link").symlink_to(tmp_path / "many" / "a")

    found = runs_in(str(tmp_path / "many"), "report")

    assert found == [tmp_path / "many" / "a", tmp_path / "many" / "b" / "run"]


@pytest.mark.parametrize("name", ["", "nowhere", "empty"])
def test_a_folder_without_runs_is_one_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()

    with pytest.raises(
        ConfigError, match=r"^(report: a folder|nowhere: there|empty: holds no run)"
    ):
        runs_in(name, "report")


def test_reading_takes_no_torch(run: PastRun):
    code = (
        "import sys; from pathlib import Path; from clrun.records.past_run import read_run; "
        f"read_run(Path({str(run.folder)!r})); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"
