"""A sweep whose jobs ran, in this process, and one job of which failed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from making_sweeps import written_sweep

import clrun
from clrun.sweep.outcomes import JobOutcome, write_outcome

POINTS = tuple(
    (f"strategy.lr={rate}", f"strategy.train_mb_size={size}", f"seed={seed}")
    for rate in ("0.05", "0.1")
    for size in ("32", "64")
    for seed in (0, 1)
)


def done_sweep(
    path: Path, points: Sequence[Sequence[str]] = POINTS, *, failed: int | None = None
) -> Path:
    """A sweep of these points, each of them run but the one that failed."""
    for job in written_sweep(path, points):
        if job.number == failed:
            outcome = JobOutcome(status="failed", reason="the loss is <b>nan</b>", exit_code=6)
        else:
            clrun.run(clrun.compose(list(job.overrides)), path / job.folder)
            outcome = JobOutcome(status="completed", exit_code=0, seconds=1.0)
        write_outcome(path, job.number, outcome)
    return path
