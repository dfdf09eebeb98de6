from __future__ import annotations

import json
from pathlib import Path

import pytest

from clrun.records.outcome import Outcome, holds_completed, outcome_in
from clrun.records.run_folder import RunFolder

VALUES = {"seed": "1"}


def record(folder: Path, **values: object) -> None:
    (folder / "run.json").write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("written", "status", "reason"),
    [
        (None, "not started", None),
        ({"status": "running"}, "died", None),
        ({"status": "interrupted", "error": "interrupted by SIGTERM."}, "interrupted", None),
        ({"status": "failed", "error": "ValueError: x\nmore"}, "failed", "ValueError: x"),
        ({}, "failed", "unknown"),
    ],
)
def test_a_folder_says_what_became_of_its_run(
    written: dict[str, str] | None, status: str, reason: str | None, tmp_path: Path
) -> None:
    if written is not None:
        record(tmp_path, **written)

    outcome = outcome_in(tmp_path, VALUES)

    assert (outcome.status, outcome.reason, outcome.name) == (status, reason, "seed=1")
    assert outcome.unfinished == (tmp_path if status in ("died", "interrupted") else None)


def test_a_run_that_somebody_writes_is_running(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.update(status="running")

    while_it_runs = outcome_in(tmp_path, VALUES).status
    folder.close()

    assert (while_it_runs, outcome_in(tmp_path, VALUES).status) == ("running", "died")


def test_a_completed_run_has_its_metrics_and_seconds(tmp_path: Path) -> None:
    record(tmp_path, status="completed", config_hash="abc")
    results = {"metrics": {"acc_final": 0.5}, "cost": {"wall_seconds": {"train": 1.5, "eval": 1}}}
    (tmp_path / "results.json").write_text(json.dumps(results))

    outcome = outcome_in(tmp_path, VALUES)

    assert (outcome.status, outcome.value, outcome.seconds) == ("completed", 0.5, 2.5)
    assert holds_completed(tmp_path, "abc")
    assert not holds_completed(tmp_path, "abd")


def test_where_some_experience_has_no_test_images_all_images_are_the_value() -> None:
    metrics = {"acc_final": None, "acc_pooled": 0.25}

    assert Outcome(values={}, status="completed", metrics=metrics).value == 0.25
