"""What became of one job of a sweep, as its folder says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from clrun.disk.opening import read_text
from clrun.records.run_folder import DIED, RUNNING, read_record, run_status

COMPLETED, FAILED, INTERRUPTED, NOT_STARTED = "completed", "failed", "interrupted", "not started"
UNFINISHED = (INTERRUPTED, DIED, RUNNING, NOT_STARTED)
"""How a job stands that neither completed nor failed."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a job ended, or that it did not."""

    values: Mapping[str, str]
    """swept key -> the job's value of it"""
    status: str
    reason: str | None = None
    """why it failed, in one line"""
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    seconds: float = 0.0
    unfinished: Path | None = None
    """the folder of a run that can go on"""
    is_kept: bool = False
    """the run was there before, so that nothing was done"""
    is_reference: bool = False
    """to hold others against, and no point that may be the best"""

    @property
    def name(self) -> str:
        """The swept keys and their values, as they would be typed."""
        return job_name(self.values)

    @property
    def value(self) -> float | None:
        """What a sweeper optimises: the final accuracy, over all test images where some experience
        has none."""
        final = self.metrics.get("acc_final")
        return self.metrics.get("acc_pooled") if final is None else final


def job_name(values: Mapping[str, str]) -> str:
    """Keys and values, as they would be typed."""
    return " ".join(f"{key}={value}" for key, value in values.items())


def is_seed(key: str) -> bool:
    """Whether a key is a seed, over which the runs of a point differ by chance."""
    name = key.rpartition(".")[2]
    return name == "seed" or name.endswith("_seed")


def unseeded(values: Mapping[str, str]) -> dict[str, str]:
    """Swept values without those of seeds: what jobs of a point have in common."""
    return {key: value for key, value in values.items() if not is_seed(key)}


def seeds(values: Mapping[str, str]) -> str:
    """What tells the jobs of a point apart."""
    return " ".join(f"{key}={value}" for key, value in values.items() if is_seed(key))


def outcome_in(folder: Path, values: Mapping[str, str]) -> Outcome:
    """The outcome of the run in a folder."""
    status, record = run_status(folder), read_record(folder)
    try:
        results = json.loads(read_text(folder / "results.json"))
    except (OSError, ValueError):
        results = {}
    if status == COMPLETED and results:
        return Outcome(
            values=values,
            status=COMPLETED,
            metrics=results["metrics"],
            seconds=sum(results["cost"]["wall_seconds"].values()),
        )
    if status is None:
        return Outcome(values=values, status=NOT_STARTED)
    if status in (RUNNING, DIED, INTERRUPTED):
        unfinished = None if status == RUNNING else folder
        return Outcome(values=values, status=status, unfinished=unfinished)
    return Outcome(values=values, status=FAILED, reason=_one_line(record.get("error")))


def holds_completed(folder: Path, config_hash: str) -> bool:
    """Whether the folder holds the completed run of this configuration."""
    return run_status(folder) == COMPLETED and read_record(folder).get("config_hash") == config_hash


def _one_line(error: object) -> str:
    return str(error or "unknown").splitlines()[0]
