"""Working on a sweep on this machine, to its end. No torch here."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from clrun.errors import FolderError
from clrun.records.planted import require_own_names
from clrun.runner.interrupt import Interrupted
from clrun.sweep.events import Ended, Event, Noted, OnEvent, Retried
from clrun.sweep.manifest import Job, read_manifest
from clrun.sweep.outcomes import are_completed, is_over
from clrun.sweep.progress import resume_command
from clrun.sweep.record import SweepOptions
from clrun.sweep.slots import require_gpus, slots_here
from clrun.sweep.sources_now import require_same_sources
from clrun.sweep.worker import Worker


def work(
    path: Path,
    options: SweepOptions,
    on_event: OnEvent,
    *,
    slots: int | None = None,
    retry_failed: bool = False,
    force: bool = False,
) -> int:
    """Do what is missing of the sweep in a folder; the exit code, 0 if every job is completed then.

    `slots`: how many at a time; None: as many as the launcher's keys say.

    Raises:
        FolderError: jobs would not give the numbers they were to give, their GPU is not here, or a
            name that is written to is a link; none was begun.
        ClrunError: no process can be started, or the folder cannot be written.
        Interrupted: a signal ended it; the running jobs have saved their state.
    """
    jobs = read_manifest(path)
    require_own_names(path)
    left = [job for job in jobs if not is_over(path, job, retry_failed=retry_failed)]
    _require_inside(path, left)
    if not force:
        require_same_sources(path, left)
        require_gpus(path, left)
    at_a_time = slots or slots_here(options, jobs)
    worker = Worker(path, at_a_time, options, on_event, retry_failed=retry_failed, force=force)
    worked = worker.run()
    if worked.signal is not None:
        count = "1 job was" if worked.completed == 1 else f"{worked.completed} jobs were"
        but = f", but for {worked.killed} that had to be killed" if worked.killed else ""
        done = f"{count} completed, and running ones have saved their state{but}."
        raise Interrupted(worked.signal, done, f"To go on: {resume_command(path)}")
    return int(not are_completed(path, jobs))


def _require_inside(path: Path, jobs: Sequence[Job]) -> None:
    """Refuse job folders that a link leads elsewhere: somebody else may have put it there.

    Raises:
        FolderError: with the first of them.
    """
    whole = os.path.realpath(path)
    for job in jobs:
        folder = os.path.join(whole, os.path.normpath(job.folder))
        if os.path.realpath(folder) != folder:
            raise FolderError(f"{path / job.folder}: is a link, and not written to. Take it away.")


def line_of(event: Event) -> str | None:
    """What happened, in a line; None where it is not worth one."""
    match event:
        case Ended(name=name, outcome=outcome):
            reason = "" if outcome.reason is None else f": {outcome.reason}"
            return f"{name}: {outcome.status} in {outcome.seconds:.1f} s{reason}"
        case Retried(name=name, reason=reason, attempt=attempt):
            return f"{name}: attempt {attempt} {reason}. It goes on."
        case Noted(text=text):
            return f"clrun: note: {text}"
    return None
