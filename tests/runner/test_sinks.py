"""Loggers of a run: they have all it records, change nothing of it and cannot stop it."""

from __future__ import annotations

import csv
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import clrun
from clrun.config.run_config import RunConfig
from clrun.errors import ConfigError
from clrun.records.raw_log import read_raw_log
from clrun.records.results import Results
from clrun.runner.interrupt import Interrupted

SHORT = ("strategy=naive", "strategy.train_epochs=1", "device=cpu", "first_experiences=3")

MINE = '''
from dataclasses import dataclass

from clrun.loggers.logger import require_package


class Diary:
    """Notes what it is called with, and fails at some moment."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        fails: str

    notes = []

    def __init__(self, config):
        self.fails = config.fails
        if self.fails == "missing":
            require_package("diary", "no_such_package")

    def begin(self, run, lines):
        self._note("begin", (run.label, run.experiences, len(list(lines))))

    def write(self, line):
        self._note(line["kind"], line)

    def end(self, status):
        self._note("end", status)

    def _note(self, what, value):
        self.notes.append((what, value))
        if what == self.fails:
            raise RuntimeError("the pen is empty")
        if self.fails == "stop" and what == "memory" and value["experience"] == 1:

            raise KeyboardInterrupt
'''


@pytest.fixture(scope="module", autouse=True)
def diary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A configuration folder with a logger of one's own: a module and a YAML."""
    folder = tmp_path_factory.mktemp("mine")
    (folder / "conf" / "logger").mkdir(parents=True)
    (folder / "conf" / "logger" / "diary.yaml").write_text(
        "# A diary.\ntarget: diary_of_mine:Diary\nfails: never\n"
    )
    (folder / "diary_of_mine.py").write_text(MINE)
    yield folder / "conf"
    sys.path[:] = [place for place in sys.path if str(folder) not in place]


def composed(diary: Path, *words: str) -> RunConfig:
    return clrun.compose([*SHORT, *words], trust=True, config_dirs=[diary])


def notes_of(folder: Path, config: RunConfig) -> tuple[Results, list[Any]]:
    from diary_of_mine import Diary

    Diary.notes.clear()
    return clrun.run(config, folder), list(Diary.notes)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """The results of the run without a logger."""
    return clrun.run(clrun.compose(list(SHORT)), tmp_path_factory.mktemp("plain") / "run")


@pytest.fixture(scope="module")
def noted(tmp_path_factory: pytest.TempPathFactory, diary: Path) -> tuple[Results, list[Any]]:
    """The results of the run with two loggers, and what one of them noted."""
    config = composed(diary, "logger=[diary,csv]")
    return notes_of(tmp_path_factory.mktemp("noted") / "run", config)


def test_a_logger_changes_no_number(plain: Results, noted: tuple[Results, list[Any]]) -> None:
    results, _ = noted

    assert results.accuracy_matrix == plain.accuracy_matrix
    assert results.metrics == plain.metrics
    assert results.config_hash == plain.config_hash


def test_it_has_every_line_and_the_metrics_after_each_experience(
    noted: tuple[Results, list[Any]],
) -> None:
    results, notes = noted
    assert results.folder is not None
    raw = read_raw_log(results.folder / "metrics.jsonl")

    kinds = [what for what, _ in notes]
    metrics = [line for what, line in notes if what == "metrics"]
    assert notes[0] == ("begin", ("naive-digits-s0", 3, 0))
    assert [line for what, line in notes if what in {line["kind"] for line in raw}] == raw
    assert kinds[-3:] == ["metrics", "cost", "end"]
    assert notes[-1] == ("end", "completed")
    assert [line["experience"] for line in metrics] == [0, 1, 2]
    matrix = results.accuracy_matrix
    assert metrics[1]["acc_final"] == (matrix[1][0] + matrix[1][1]) / 2  # of the two learnt so far
    assert {key: metrics[-1][key] for key in results.metrics} == dict(results.metrics)


def test_the_table_ends_with_the_numbers_of_the_results(noted: tuple[Results, list[Any]]) -> None:
    results, _ = noted
    assert results.folder is not None
    with (results.folder / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))

    assert float(rows[-2]["acc_final"]) == results.metrics["acc_final"]
    assert float(rows[-1]["cost/train_steps"]) == results.cost["train_steps"]


@pytest.mark.parametrize("moment", ["begin", "step", "metrics", "cost", "end"])
def test_one_that_fails_costs_a_line_and_the_run_goes_on(
    moment: str,
    plain: Results,
    diary: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = composed(diary, "logger=[diary,csv]", f"logger.diary.fails={moment}")

    with caplog.at_level(logging.WARNING, logger="clrun.note"):
        results, notes = notes_of(tmp_path / "run", config)

    [said] = [record.getMessage() for record in caplog.records if record.name == "clrun.note"]
    assert said.startswith("logger=diary failed, and the run goes on without it: RuntimeError: the")
    assert results.metrics == plain.metrics
    assert [what for what, _ in notes].count(moment) <= 2  # `end` is asked for once more
    assert [what for what, _ in notes][-1] == "end"
    assert (tmp_path / "run" / "metrics.csv").stat().st_size > 1000


def test_one_whose_package_is_missing_is_refused_before_anything_starts(
    diary: Path, tmp_path: Path
) -> None:
    config = composed(diary, "logger=diary", "logger.diary.fails=missing")

    with pytest.raises(ConfigError) as refused:
        clrun.run(config, tmp_path / "run")

    [line] = refused.value.problems
    assert line == (
        "logger=diary: needs no_such_package, which is not installed. pip install 'clrun[diary]'"
    )
    assert not (tmp_path / "run").exists()


def test_a_class_that_is_no_logger_is_refused(diary: Path, tmp_path: Path) -> None:
    (diary.parent / "no_logger.py").write_text(
        "from dataclasses import dataclass\n\n\nclass Empty:\n    @dataclass(frozen=True)\n"
        "    class Config:\n        pass\n\n    def __init__(self, config):\n        pass\n"
    )
    (diary / "logger" / "empty.yaml").write_text("# Nothing.\ntarget: no_logger:Empty\n")

    with pytest.raises(ConfigError, match="has no begin and no end and no write"):
        clrun.run(composed(diary, "logger=empty"), tmp_path / "run")


def test_a_run_that_goes_on_has_no_line_twice(diary: Path, tmp_path: Path) -> None:
    config = composed(
        diary, "logger=[csv,diary]", "logger.diary.fails=stop", "checkpoint.every_steps=1"
    )
    with pytest.raises((KeyboardInterrupt, Interrupted)):
        notes_of(tmp_path / "run", config)
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    record["config"]["loggers"][1]["values"]["fails"] = "never"
    (tmp_path / "run" / "run.json").write_text(json.dumps(record))

    results = clrun.resume(tmp_path / "run", trust=True)

    with (tmp_path / "run" / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    raw = read_raw_log(tmp_path / "run" / "metrics.jsonl")
    there = [row for row in rows if row["kind"] not in ("metrics", "cost")]
    assert [(row["kind"], int(row["iteration"])) for row in there] == [
        (line["kind"], line["iteration"]) for line in raw
    ]
    assert [row["experience"] for row in rows if row["kind"] == "metrics"] == ["0", "1", "2"]
    assert float(rows[-2]["acc_final"]) == results.metrics["acc_final"]
