"""Folders of sweeps whose jobs nobody ran: written by what writes those of sweeps that ran."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from clrun import compose
from clrun.disk import locks
from clrun.records import run_record
from clrun.records.record_file import write_record
from clrun.records.results import Results
from clrun.sweep import record as sweep_record
from clrun.sweep.folder import SweepFolder
from clrun.sweep.manifest import Job, write_manifest
from clrun.sweep.outcomes import JobOutcome, write_outcome
from clrun.sweep.record import SweepOptions, SweepRecord

MACHINE = {"device": "cpu", "threads": 1}


@cache
def _config() -> Any:
    return compose(["strategy=naive", "strategy.train_epochs=2", "device=cpu"])


@cache
def _record() -> Mapping[str, Any]:
    return run_record.started(_config(), Path("one"), **MACHINE)


def make_sweep(path: Path, points: Sequence[Mapping[str, str]], **options: Any) -> tuple[Job, ...]:
    """A sweep of jobs that nobody has begun, with these swept values."""
    path.mkdir(parents=True, exist_ok=True)
    plain = _config().plain()
    jobs = tuple(
        Job(
            number=number,
            overrides=("strategy=naive", *(f"{key}={value}" for key, value in values.items())),
            values=values,
            folder=f"naive-digits-{number:04}",
            config=plain,
            identity={"config_hash": f"{number:012x}", "code": {}, **MACHINE},
        )
        for number, values in enumerate(points)
    )
    write_manifest(path, jobs)
    record = SweepRecord(
        sweep_id=path.name,
        command="clrun -m strategy=naive",
        swept=tuple(points[0] if points else ()),
        started="2026-11-28T06:00:00+00:00",
        output_root=str(path.parent),
        options=SweepOptions(**options),
    )
    sweep_record.write_record(path, record)
    return jobs


def grid(rates: int, seeds: int) -> list[dict[str, str]]:
    """Points over a key and seeds."""
    return [
        {"strategy.lr": f"0.{rate + 1}", "seed": str(seed)}
        for rate in range(rates)
        for seed in range(seeds)
    ]


def begin(path: Path, job: Job, **changes: Any) -> Path:
    """The run folder of a job, with its record."""
    folder = path / job.folder
    folder.mkdir(exist_ok=True)
    record = {**_record(), "run_id": folder.name, "config_hash": job.hash, **changes}
    write_record(folder / "run.json", record)
    return folder


def complete(path: Path, job: Job, accuracy: float, experiences: int = 5) -> None:
    """A job that ran to its end."""
    folder = begin(path, job, status="completed", seconds=2.5)
    results(job, accuracy, experiences).save(folder)
    log(folder, experiences=experiences)
    outcome = JobOutcome(
        status="completed", exit_code=0, seconds=3.0, host="a", ended="2026-11-28T06:01:00+00:00"
    )
    write_outcome(path, job.number, outcome)


def fail(path: Path, job: Job, reason: str) -> None:
    """A job that failed."""
    begin(path, job, status="failed", error=reason)
    outcome = JobOutcome(status="failed", reason=reason, exit_code=6, seconds=1.0, host="a")
    write_outcome(path, job.number, outcome)


def interrupt(path: Path, job: Job) -> None:
    """A job whose state is saved."""
    begin(path, job, status="interrupted")
    write_outcome(path, job.number, JobOutcome(status="interrupted", exit_code=143, seconds=1.0))


@contextmanager
def leased(path: Path, job: Job) -> Iterator[None]:
    """A worker, this process, has the job."""
    held = locks.take(SweepFolder(path).lease(job.number))
    try:
        yield
    finally:
        held.release()


def results(job: Job, accuracy: float, experiences: int = 5) -> Results:
    matrix = [[accuracy] * experiences] * experiences
    return Results(
        config_hash=job.hash,
        class_names=[str(number) for number in range(10)],
        experiences=[{"classes": [0, 1], "train_rows": 9, "test_rows": 3}] * experiences,
        accuracy_matrix=matrix,
        class_accuracy=matrix,
        initial_accuracy=[0.1] * experiences,
        metrics={"acc_final": accuracy, "bwt": -0.25, "fwt": None, "forgetting_max": 0.25},
        notes={"fwt": "nobody asked"},
        cost={"wall_seconds": {"setup": 0.5, "train": 1.5}, "train_steps": 98, "train_macs": None},
        memory={"rows": 0, "bytes": 0, "per_class": {}, "per_experience": {"0": 3}},
    )


def log(folder: Path, experiences: int = 5, steps: int = 3, seed: int = 0) -> Path:
    """The raw log of a run that learnt so many experiences of five."""
    rng = random.Random(seed)
    lines: list[dict[str, Any]] = []

    def line(kind: str, experience: int | None, epoch: int | None = None, **values: Any) -> None:
        place = {"experience": experience, "epoch": epoch, "iteration": len(lines)}
        lines.append({"kind": kind, **place, "seconds": 0.1 * len(lines), **values})

    line("eval", None, accuracy=[0.1] * 5)
    for experience in range(experiences):
        for epoch in range(2):
            for _ in range(steps):
                line("step", experience, epoch, loss=rng.random(), accuracy=rng.random())
            line("epoch", experience, epoch, loss=0.5, accuracy=0.9)
        line("experience", experience)
        line("eval", experience, accuracy=[0.5 + 0.1 * experience] * 5)
    path = folder / "metrics.jsonl"
    path.write_text("".join(f"{json.dumps(each)}\n" for each in lines))
    return path
