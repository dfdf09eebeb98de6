"""How a sweep stands, for people: what runs and where, what failed and why, what is silent."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from clrun.console.display import clock_time
from clrun.console.sweep_display import short_name
from clrun.errors import ConfigError
from clrun.records.outcome import job_name
from clrun.records.results_end import read_numbers
from clrun.records.run_folder import DIED, RUNNING
from clrun.records.run_folder import read_record as read_run
from clrun.sweep.engines.starting import engine_lines
from clrun.sweep.listed import each_listed
from clrun.sweep.outcomes import COMPLETED, FAILED, INTERRUPTED
from clrun.sweep.progress import QUEUED, STATES, JobState, Looked, way_on
from clrun.sweep.record import read_record
from clrun.sweep.tuning.record import is_study
from clrun.sweep.tuning.standing import Standing, standing

MOST_LINES = 40
"""More jobs than this in one state are counted, not named."""


@dataclass(frozen=True)
class Status:
    """A sweep at one moment."""

    path: Path
    jobs: list[JobState]
    shared: list[JobState]
    """parts of several jobs that are trained now"""
    engine: list[str]
    """what is known of workers that an engine started"""
    study: Standing | None = None
    """what the trials of a study have found"""

    def counts(self) -> dict[str, int]:
        """How many jobs are in each state in which there are any."""
        found = Counter(job.state for job in self.jobs)
        return {state: found[state] for state in STATES if found[state]}

    def are_over(self) -> bool:
        """Whether nothing is left to do that nobody has tried."""
        is_whole = self.study is None or self.study.is_over
        return bool(self.jobs) and is_whole and not set(self.counts()) - {COMPLETED, FAILED}

    def way_on(self) -> str:
        """How to go on, where nobody does; empty where somebody does or nothing is left."""
        works = any(f" {state}" in line for line in self.engine for state in (QUEUED, RUNNING))
        is_alive = works or self.shared or RUNNING in self.counts()
        if is_alive:
            return ""
        has_more = self.study is not None and not self.study.is_over  # trials to ask for
        return way_on(self.path, () if has_more else self.counts())

    def plain(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {
            "folder": str(self.path),
            "counts": self.counts(),
            "jobs": [self._plain(job) for job in self.jobs],
            "shared": [asdict(part) for part in self.shared],
            "engine": self.engine,
            "study": None if self.study is None else self.study.plain(),
            "way_on": self.way_on() or None,
        }

    def _plain(self, job: JobState) -> dict[str, Any]:
        """A job; of one that is completed the accuracy is that of its end."""
        plain = {**asdict(job), "values": dict(job.values)}
        if job.state == COMPLETED:
            plain["accuracy"] = read_numbers(self.path / job.folder).metrics.get("acc_final")
        return plain


def read_status(path: Path) -> Status:
    """How the sweep in a folder stands now; nothing is written.

    Raises:
        ConfigError: it holds no sweep, or its manifest is damaged.
    """
    folder = Looked(path)
    jobs = [folder.state(job) for job in each_listed(path)]
    try:
        engine = engine_lines(path, read_record(path))
    except ConfigError as error:  # what the jobs are, the manifest says
        engine = error.problems
    study = standing(path) if is_study(path) else None
    return Status(path, jobs, folder.shared(), engine, study)


def running_lines(status: Status, stuck_after: float) -> Iterator[tuple[str, bool]]:
    """(a line about what runs, whether it is stuck) of each; those that are stuck first."""
    going = [job for job in status.jobs if job.state == RUNNING] + status.shared
    stuck = [job for job in going if _is_stuck(job, stuck_after)]
    for job in stuck:
        yield f"stuck  {_name(job)}  {_since(job)}, {_where(job)}", True
    fine = [job for job in going if not _is_stuck(job, stuck_after)]
    for job in fine[:MOST_LINES]:
        yield f"{'shared' if job.number is None else RUNNING}  {_name(job)}  {_where(job)}", False
    if len(fine) > MOST_LINES:
        yield f"{RUNNING}  {len(fine) - MOST_LINES} more", False


def failed_lines(status: Status) -> Iterator[str]:
    """A line for each job that failed, with its reason."""
    for job in _in(status, FAILED):
        yield f"failed  {job_name(job.values) or job.folder}: {job.reason}"


def failed_details(status: Status) -> Iterator[str]:
    """Each job that failed with its reason, how often it was tried and where its log is."""
    for job, line in zip(_in(status, FAILED), failed_lines(status), strict=True):
        yield line
        times = f"{job.attempts} attempt{'' if job.attempts == 1 else 's'}"
        yield f"  {times}, log: {status.path / job.folder / 'clrun.log'}"


def unfinished_lines(status: Status) -> Iterator[str]:
    """A line for each job that nobody works on although it was begun."""
    for state in (INTERRUPTED, DIED):
        found = _in(status, state)
        for job in found[:MOST_LINES]:
            yield f"{state}  {_name(job)}"
        if len(found) > MOST_LINES:
            yield f"{state}  {len(found) - MOST_LINES} more"


def place(job: JobState) -> str:
    """Where a running job is: experience, epoch and accuracy, as far as they are known."""
    if job.experience is None:
        return "starting"
    words = [_of("experience", job.experience, job.experiences)]
    if job.epoch is not None:
        words.append(_of("epoch", job.epoch, job.epochs))
    if job.accuracy is not None:
        words.append(f"accuracy {job.accuracy:.3f}")
    return ", ".join(words)


def _where(job: JobState) -> str:
    silent = [] if job.silent is None else [f"last sign {clock_time(job.silent)} ago"]
    worker = [] if job.worker is None else [job.worker.partition(" since ")[0]]
    return ", ".join([place(job), *silent, *worker])


def _is_stuck(job: JobState, stuck_after: float) -> bool:
    return job.silent is not None and job.silent >= stuck_after


def _since(job: JobState) -> str:
    moment = datetime.now(UTC) - timedelta(seconds=job.silent or 0)
    return f"nothing since {moment.isoformat(sep=' ', timespec='minutes')[:16]} UTC"


def _of(what: str, index: int, total: int | None) -> str:
    return f"{what} {index + 1}" if total is None else f"{what} {index + 1}/{total}"


def _name(job: JobState) -> str:
    return short_name(job.values) or job.folder


def _in(status: Status, state: str) -> Sequence[JobState]:
    return [job for job in status.jobs if job.state == state]


def run_lines(path: Path, run: JobState) -> Iterator[str]:
    """A line about a single run, and how to go on where nobody does."""
    label = str(read_run(path).get("label", path.name))
    if run.state == RUNNING:
        yield f"{label}: {RUNNING}, {_where(run)}"
        return
    reason = "" if run.reason is None else f": {run.reason}"
    seconds = "" if run.seconds is None else f" in {clock_time(run.seconds)}"
    yield f"{label}: {run.state}{seconds}{reason}"
    if run.state in (INTERRUPTED, DIED, FAILED):
        yield f"To go on: clrun resume {shlex.quote(str(path))}"
