"""How the jobs of a sweep stand, from its folder alone.

Nothing is written or made, and little is read: of a job that is over its outcome, of one that is
not the record and the end of its log. So it may be asked often, of thousands of jobs, by anybody
who may read the folder.
"""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clrun.config.trust import trust_now
from clrun.disk import locks
from clrun.disk.opening import read_text
from clrun.records.log_tail import LogEnd, LogTail
from clrun.records.run_folder import DIED, LOCK, RUNNING
from clrun.records.sound_record import sound_record
from clrun.sweep.folder import SweepFolder
from clrun.sweep.listed import Listed, each_listed, sizes
from clrun.sweep.outcomes import COMPLETED, FAILED, INTERRUPTED, JobOutcome, outcome_at

QUEUED = "queued"
STATES = (COMPLETED, FAILED, RUNNING, INTERRUPTED, DIED, QUEUED)
"""Those that a job may be in. Interrupted: its state was saved, and it goes on when a worker comes
to it again. Died: its process or its machine ended without a word; so does it then."""


@dataclass(frozen=True, kw_only=True)
class JobState:
    """How a job stands."""

    number: int | None
    """None: what several jobs have in common"""
    values: Mapping[str, str]
    """swept key -> its value as typed"""
    folder: str
    """below the sweep's"""
    state: str
    """one of `STATES`"""
    reason: str | None = None
    """of what failed, in one line"""
    experience: int | None = None
    """from 0; of a running job, as are the next ones"""
    experiences: int | None = None
    epoch: int | None = None
    epochs: int | None = None
    accuracy: float | None = None
    """mean over the experiences so far, after its last evaluation"""
    silent: float | None = None
    """seconds since the last line of its log, or since its worker took it"""
    worker: str | None = None
    """as it named itself: process, host, since when"""
    seconds: float | None = None
    """that its processes took, or have taken by the last line of its log"""
    attempts: int = 0
    """processes that were started for it; 0 where nobody has said it yet"""

    @property
    def done(self) -> float:
        """The share of a running job that is done, as far as it can be told, in [0, 1]."""
        return self.share(self.experience, self.epoch)

    def share(self, experience: int | None, epoch: int | None) -> float:
        """The share of the job that is done where its log speaks of this place."""
        if experience is None or not self.experiences:
            return 0.0
        within = 1.0
        if epoch is not None and self.epochs:
            within = min((epoch + 0.5) / self.epochs, 1.0)  # somewhere in that epoch
        return min((experience + within) / self.experiences, 1.0)


def progress(path: Path) -> list[JobState]:
    """The states of all jobs of a sweep, in order.

    Raises:
        ConfigError: the folder holds no sweep, or its manifest is damaged.
    """
    folder = Looked(path)
    return [folder.state(job) for job in each_listed(path)]


def way_on(path: Path, states: Collection[str]) -> str:
    """How to go on with a sweep whose jobs stand so, in a sentence; empty where all is done."""
    command = resume_command(path)
    if not states or set(states) - {COMPLETED, FAILED}:  # none: a study without a trial yet
        return f"To go on: {command}"
    return f"To try what failed again: {command} --retry-failed" if FAILED in states else ""


def resume_command(path: Path) -> str:
    """What goes on with this sweep, in words to type."""
    trust = " --trust" if trust_now().everything else ""  # who gave it here needs it again
    return f"clrun resume {shlex.quote(str(path))}{trust}"


def run_state(path: Path) -> JobState:
    """How a single run stands."""
    config = sound_record(path).get("config") or {}
    run = Listed(None, {}, path.name, "", *sizes(config))
    return Looked(path.parent).by_its_record(run, None)


class Looked:
    """What lies in the folder of a sweep at one moment."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._folder = SweepFolder(path)
        self._outcomes = self._folder.inner_names("outcomes")
        self._leases = self._folder.inner_names("leases")
        self._now = time.time()

    def state(self, job: Listed) -> JobState:
        """How a job stands."""
        assert job.number is not None, job
        outcome = self.outcome(job.number)
        if outcome is not None and outcome.status == COMPLETED:
            return _over(job, outcome)
        lease = self._lease(job.number)
        if lease is not None:
            return self._running(job, outcome, lease)
        if outcome is not None and outcome.status == FAILED:
            return _over(job, outcome)
        return self.by_its_record(job, outcome)

    def outcome(self, number: int) -> JobOutcome | None:
        """What its worker knows of a job."""
        name = f"{number:06}.json"
        return outcome_at(self._inner("outcomes", name)) if name in self._outcomes else None

    def by_its_record(self, job: Listed, outcome: JobOutcome | None) -> JobState:
        """The state of a job that no worker has: people may go on with a run by hand."""
        folder = self._folder.job(job.folder)
        record = sound_record(folder)
        status = record.get("status")
        if status == RUNNING:
            if _is_held(folder / LOCK, unseen=True):
                return self._running(job, outcome, folder / LOCK)
            status = DIED
        otherwise = QUEUED if outcome is None else outcome.status
        return JobState(
            **_named(job),
            state=status if status in STATES else otherwise,
            reason=_first_line(record.get("error")) if status == FAILED else None,
            seconds=record.get("seconds") if outcome is None else outcome.seconds,
            attempts=0 if outcome is None else outcome.attempts,
        )

    def shared(self) -> list[JobState]:
        """What several jobs have in common and is being trained now."""
        names = sorted(self._folder.inner_names("shared"))
        states = (self._shared(name) for name in names)
        return [state for state in states if state is not None]

    def _shared(self, name: str) -> JobState | None:
        folder = self._inner("shared", name)
        record = sound_record(folder)
        if record.get("status") != RUNNING or not _is_held(folder / LOCK, unseen=True):
            return None
        epochs, experiences = sizes(record.get("config", {}))
        part = Listed(None, {}, f".sweep/shared/{name}", name, epochs, experiences)
        return self._running(part, None, folder / LOCK)

    def _running(self, job: Listed, outcome: JobOutcome | None, lock: Path) -> JobState:
        end = LogTail(self._folder.job(job.folder) / "metrics.jsonl").read()
        alive = _written(lock) if end is None else end.written
        return JobState(
            **_named(job),
            state=RUNNING,
            **where(end, job),
            silent=None if alive is None else max(self._now - alive, 0.0),
            worker=_text(lock),
            attempts=0 if outcome is None else outcome.attempts,
        )

    def _lease(self, number: int) -> Path | None:
        """The lease of a job that some worker has now."""
        name = f"{number:06}.lock"
        file = self._inner("leases", name)
        return file if name in self._leases and _is_held(file, unseen=False) else None

    def _inner(self, *names: str) -> Path:
        return self.path.joinpath(".sweep", *names)


def where(end: LogEnd | None, job: Listed) -> dict[str, Any]:
    """The fields of a running job's state that the end of its log says."""
    known = {"epochs": job.epochs, "experiences": job.experiences}
    if end is None:
        return known
    experiences = job.experiences or end.experiences
    place = {"experience": end.experience, "epoch": end.epoch, "experiences": experiences}
    return {**known, **place, "accuracy": end.accuracy, "seconds": end.seconds}


def _named(job: Listed) -> dict[str, Any]:
    return {"number": job.number, "values": job.values, "folder": job.folder}


def _over(job: Listed, outcome: JobOutcome) -> JobState:
    return JobState(
        **_named(job),
        state=outcome.status,
        reason=outcome.reason,
        seconds=outcome.seconds,
        attempts=outcome.attempts,
    )


def _is_held(lock: Path, *, unseen: bool) -> bool:
    """Whether somebody holds a lock; `unseen` where that cannot be seen from here, such as in the
    folder of another person."""
    try:
        return not locks.is_free(lock, glance=0)
    except OSError:
        return unseen


def _first_line(error: object) -> str | None:
    return str(error).splitlines()[0] if error else None


def _text(file: Path) -> str | None:
    try:
        return read_text(file, most=4096) or None
    except (OSError, UnicodeDecodeError):
        return None


def _written(file: Path) -> float | None:
    try:
        return os.stat(file).st_mtime
    except OSError:
        return None
