"""A sweep as one line says it: how many of its jobs are in which state, and what was swept."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from clrun.disk.opening import open_regular
from clrun.errors import ConfigError
from clrun.records.run_folder import read_record as read_run
from clrun.records.run_folder import run_status
from clrun.sweep.folder import SweepFolder
from clrun.sweep.listed import each_listed
from clrun.sweep.manifest import each_job
from clrun.sweep.outcomes import COMPLETED
from clrun.sweep.progress import STATES, Looked
from clrun.sweep.record import read_record

States = list[tuple[str, Mapping[str, str]]]
"""(state, swept key -> value as typed) of each job"""


class OfSweep(NamedTuple):
    """What is said of a sweep in one line."""

    started: str
    config: Mapping[str, Any]
    """of the first job"""
    counts: Mapping[str, int]
    swept: Mapping[str, tuple[str, ...]]

    @property
    def status(self) -> str:
        """The first state but completed in which jobs are."""
        return next((state for state in STATES[1:] if state in self.counts), COMPLETED)


def of_sweep(path: Path) -> OfSweep:
    """The sweep in a folder; one without a manifest as far as its jobs were begun."""
    try:
        jobs = _all_completed(path) or _by_folder(path)
        config = next(iter(each_job(path))).config
    except (ConfigError, StopIteration):  # of Hydra's own loop
        runs = [run.parent for run in sorted(path.glob("*/run.json"))]
        jobs = [(run_status(run) or "unknown", {}) for run in runs]
        config = (read_run(runs[0]).get("config") or {}) if runs else {}
    found = Counter(state for state, _ in jobs)
    order = [*(state for state in STATES if state in found), *sorted(set(found) - set(STATES))]
    counts = {state: found[state] for state in order}
    return OfSweep(_started(path), config, counts, _swept(values for _, values in jobs))


def _by_folder(path: Path) -> States:
    looked = Looked(path)
    return [(looked.state(job).state, job.values) for job in each_listed(path)]


def _all_completed(path: Path) -> States | None:
    """The jobs by the index, a tenth of the work; None where one of them is not completed, which
    alone is for good."""
    folder = SweepFolder(path)
    try:
        with closing(
            sqlite3.connect(f"{folder.index.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
        ) as index:
            found = index.execute("SELECT status, swept FROM runs").fetchall()
        with open_regular(folder.manifest) as manifest:
            jobs = sum(1 for _ in manifest)
        states: States = [(str(status), json.loads(swept)) for status, swept in found]
    except (sqlite3.Error, OSError, ValueError, TypeError):
        return None
    is_over = len(states) == jobs and all(state == COMPLETED for state, _ in states)
    return states if is_over else None


def _swept(jobs: Iterable[Mapping[str, str]]) -> dict[str, tuple[str, ...]]:
    """key -> the values that jobs have, each once, in order."""
    found: dict[str, dict[str, None]] = {}
    for values in jobs:
        for key, value in values.items():
            found.setdefault(key, {})[value] = None
    return {key: tuple(values) for key, values in found.items()}


def _started(path: Path) -> str:
    """When the sweep was started, or else the first job that was begun: UTC, or empty."""
    try:
        return read_record(path).started
    except ConfigError:
        return min(filter(None, _starts(path)), default="")


def _starts(path: Path) -> Iterator[str]:
    for run in path.glob("*/run.json"):
        yield str(read_run(run.parent).get("started") or "")
