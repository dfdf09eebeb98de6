"""The numbers of a line, and what they are called."""

from __future__ import annotations

from pathlib import Path

import pytest
from logged_runs import logged_run

from clrun.loggers.logger import LoggedRun
from clrun.loggers.numbers import numbers

PLACE = {"experience": 1, "epoch": None, "iteration": 20, "seconds": 1.5}


@pytest.fixture
def run(tmp_path: Path) -> LoggedRun:
    return logged_run(tmp_path)


def test_an_update_is_about_training(run: LoggedRun) -> None:
    line = {"kind": "step", **PLACE, "loss": 0.5, "accuracy": 0.75, "patterns": 32}

    assert numbers(line, run) == {"train/loss": 0.5, "train/accuracy": 0.75}


def test_an_evaluation_has_a_number_for_each_experience_and_class_and_their_mean(
    run: LoggedRun,
) -> None:
    line = {"kind": "eval", **PLACE, "seen": 2, "stream": "test", "accuracy": [0.5, 1.0, 0.1]}
    line |= {"class_accuracy": [None, 0.25], "confusion": [[0, 1, 7]], "ece": 0.2}

    assert numbers(line, run) == {
        "eval/accuracy": 0.75,  # of the two that were seen
        "eval/accuracy/0": 0.5,
        "eval/accuracy/1": 1.0,
        "eval/accuracy/2": 0.1,
        "eval/class_accuracy/0": None,
        "eval/class_accuracy/1": 0.25,
        "eval/ece": 0.2,
    }


def test_before_training_no_experience_was_seen(run: LoggedRun) -> None:
    line = {"kind": "eval", **PLACE, "experience": None, "accuracy": [0.1, 0.2, 0.3]}

    assert numbers(line, run)["eval/accuracy"] is None


def test_a_line_with_fewer_entries_has_the_names_of_all(run: LoggedRun) -> None:
    line = {"kind": "memory", **PLACE, "rows": 4, "per_class": {"1": 4}, "per_experience": {}}

    assert numbers(line, run) == {
        "memory/rows": 4,
        "memory/per_class/0": None,
        "memory/per_class/1": 4,
        "memory/per_experience/0": None,
        "memory/per_experience/1": None,
        "memory/per_experience/2": None,
    }


def test_metrics_are_called_as_in_the_results(run: LoggedRun) -> None:
    line = {"kind": "metrics", **PLACE, "acc_final": 0.5, "bwt": None}

    assert numbers(line, run) == {"acc_final": 0.5, "bwt": None}


def test_what_is_nested_has_its_parts_and_what_is_no_number_is_left_out(run: LoggedRun) -> None:
    line = {
        "kind": "cost",
        **PLACE,
        "wall_seconds": {"train": 2.5},
        "shared": True,
        "device": "cpu",
    }

    assert numbers(line, run) == {"cost/wall_seconds/train": 2.5}
