"""What became of the jobs of a sweep, as far as their workers know it.

A run says itself how it ended (run.json). What it cannot say, its worker does: that its process was
killed, that its time was over, how often it was tried.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from clrun.disk.files import write_json
from clrun.disk.opening import read_text
from clrun.sweep.folder import SweepFolder
from clrun.sweep.manifest import Job

COMPLETED, FAILED, INTERRUPTED = "completed", "failed", "interrupted"


@dataclass(frozen=True, kw_only=True)
class JobOutcome:
    """How a job ended last; one that is interrupted goes on when a worker comes to it again."""

    status: str
    """completed, failed or interrupted"""
    reason: str | None = None
    """of what failed, in one line"""
    exit_code: int | None = None
    """of the job's process; negative: the signal that ended it"""
    attempts: int = 1
    """processes that were started for it, over all workers"""
    seconds: float = 0.0
    """by a clock that is never set, over all attempts"""
    host: str = ""
    ended: str = ""
    """UTC"""

    def is_over(self, *, retry_failed: bool = False) -> bool:
        """Whether nothing is left to do."""
        return self.status == COMPLETED or (self.status == FAILED and not retry_failed)


def read_outcome(sweep: Path, number: int) -> JobOutcome | None:
    """The outcome of a job; None where it has none yet, or where it is damaged."""
    return outcome_at(SweepFolder(sweep).outcome(number))


def outcome_at(file: Path) -> JobOutcome | None:
    """The outcome in a file; None where there is none yet, or where it is damaged."""
    try:
        return JobOutcome(**json.loads(read_text(file)))
    except (OSError, ValueError, TypeError):
        return None


def write_outcome(sweep: Path, number: int, outcome: JobOutcome) -> None:
    """Keep an outcome, in the process that holds the job's lease."""
    keep_outcome(SweepFolder(sweep).outcome(number), outcome)


def keep_outcome(path: Path, outcome: JobOutcome) -> None:
    """Keep an outcome in this file, in the process that holds the lease."""
    write_json(path, asdict(outcome))


def is_over(sweep: Path, job: Job, *, retry_failed: bool = False) -> bool:
    """Whether there is nothing left to do for a job."""
    outcome = read_outcome(sweep, job.number)
    return outcome is not None and outcome.is_over(retry_failed=retry_failed)


def are_completed(sweep: Path, jobs: Iterable[Job]) -> bool:
    """Whether every one of these jobs is."""
    outcomes = (read_outcome(sweep, job.number) for job in jobs)
    return all(outcome is not None and outcome.status == COMPLETED for outcome in outcomes)
