"""Sweeps as tests need them: written down without the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from clrun import compose
from clrun.sweep.manifest import Job, write_manifest
from clrun.sweep.record import SweepOptions, SweepRecord, write_record

SHORT = ("strategy=naive", "strategy.train_epochs=1", "benchmark=digits", "device=cpu")


def written_sweep(
    path: Path,
    points: Sequence[Sequence[str]],
    *,
    common: Sequence[str] = SHORT,
    options: SweepOptions | None = None,
    where: dict[str, object] | None = None,
) -> tuple[Job, ...]:
    """A sweep of these points in a folder, ready for workers."""
    path.mkdir(parents=True, exist_ok=True)
    jobs = []
    for number, point in enumerate(points):
        words = [*common, *point]
        config = compose(words, **(where or {}))
        jobs.append(
            Job(
                number=number,
                overrides=tuple(words),
                values=dict(word.split("=", 1) for word in point),
                folder=f"{config.label()}-{config.hash()}",
                config=config.plain(),
                identity={"config_hash": config.hash(), "threads": 1},
            )
        )
    write_manifest(path, jobs)
    record = SweepRecord(
        sweep_id=path.name,
        command="clrun -m",
        swept=tuple(jobs[0].values),
        started="2026-01-01T00:00:00+00:00",
        output_root=str(path.parent),
        options=options or SweepOptions(),
    )
    write_record(path, record)
    return tuple(jobs)
