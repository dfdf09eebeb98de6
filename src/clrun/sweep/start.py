"""A sweep from its points to its end: written down, its workers started, what came out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from clrun.console.display import make_console
from clrun.disk import locks
from clrun.disk.files import storage_errors, write_text
from clrun.records.identity import sources
from clrun.records.outcome import holds_completed
from clrun.records.run_record import utc_now
from clrun.runner.interrupt import Interrupted
from clrun.sweep.engines.starting import is_engine, run_elsewhere
from clrun.sweep.folder import MULTIRUN, SweepFolder, is_sweep
from clrun.sweep.live import LiveSweep
from clrun.sweep.manifest import Job, read_manifest, write_manifest
from clrun.sweep.outcomes import (
    COMPLETED,
    JobOutcome,
    are_completed,
    is_over,
    read_outcome,
    write_outcome,
)
from clrun.sweep.planning import Plan
from clrun.sweep.record import SweepOptions, SweepRecord, read_record, write_record
from clrun.sweep.slots import slots_here
from clrun.sweep.sources_now import require_same_sources
from clrun.sweep.summary import print_end
from clrun.sweep.work import work


def write_sweep(
    folder: Path,
    plan: Plan,
    *,
    command: str,
    swept: Sequence[str],
    output_root: Path,
    options: SweepOptions,
    composed: str | None = None,
    repeats: Mapping[str, Any] | None = None,
) -> tuple[Job, ...]:
    """Write what the sweep is into its folder, or add to what is there.

    `composed` is the YAML of what it was composed of, with Hydra's node; `repeats` are the keys by
    which seeds are added (`clrun.sweep.rounds`), None to leave them as they are.

    Another process may do the same: the later one adds what is missing yet.

    Raises:
        FolderError: the folder became another sweep's since it was looked at.
        StorageError: it cannot be written.
    """
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with locks.locked(SweepFolder(folder).inner("manifest.lock")):
        jobs = plan.jobs(folder)
        record = _record(folder, command, swept, output_root, options)
        if repeats is not None:
            record = replace(record, repeats=repeats)
        if composed is not None:
            write_text(folder / MULTIRUN, composed)
        write_manifest(folder, jobs)
        write_record(folder, record)
        for job in jobs:
            _adopt(folder, job)
    return jobs


def _record(
    folder: Path, command: str, swept: Sequence[str], output_root: Path, options: SweepOptions
) -> SweepRecord:
    """What is said of the sweep now; it stays the sweep that it was."""
    if is_sweep(folder):
        before = read_record(folder)
        both = tuple(dict.fromkeys((*before.swept, *swept)))
        return replace(before, command=command, swept=both, options=options)
    return SweepRecord(
        sweep_id=folder.name,
        command=command,
        swept=tuple(swept),
        started=utc_now(),
        output_root=str(output_root.absolute()),
        options=options,
        code=sources(),
    )


def _adopt(folder: Path, job: Job) -> None:
    """Take a run that was completed here by a sweep without a manifest for the job that it is."""
    if read_outcome(folder, job.number) is None and holds_completed(folder / job.folder, job.hash):
        write_outcome(folder, job.number, JobOutcome(status=COMPLETED, ended=utc_now(), attempts=0))


def run_sweep(
    path: Path,
    options: SweepOptions,
    *,
    retry_failed: bool = False,
    force: bool = False,
    more: Callable[[], bool] = lambda: False,
) -> int:
    """Run what is missing of a sweep that is written down; the exit code.

    `more` is asked when nothing is left, and says whether there is something again.

    0: every job is completed; 1: some failed.

    Raises:
        Interrupted: a signal ended it; the state of every job is saved.
    """
    console, jobs = make_console(), read_manifest(path)
    if is_engine(options.launcher):
        left = (job for job in jobs if not is_over(path, job, retry_failed=retry_failed))
        if not force:
            require_same_sources(path, left)  # before workers wait for their turn to refuse it
        waited = run_elsewhere(path, options, retry_failed=retry_failed, force=force)
        if waited and more():
            return run_sweep(path, options, force=force, more=more)
        if waited:
            print_end(console, path)
        return int(
            waited and not are_completed(path, jobs)
        )  # else `clrun status` says what came of it
    start, slots = time.monotonic(), slots_here(options, jobs)
    try:
        while True:
            with LiveSweep(path, console, slots, retry_failed=retry_failed) as live:
                code = work(path, options, live.on_event, retry_failed=retry_failed, force=force)
            if not more():
                break
            retry_failed = False
    except Interrupted:  # which says itself how to go on
        print_end(console, path, time.monotonic() - start, says_way_on=False)
        raise
    print_end(console, path, time.monotonic() - start)
    return code
