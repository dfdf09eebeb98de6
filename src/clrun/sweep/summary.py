"""What came out of a sweep: a row for each job, from the folders alone.

`finish` writes the rows to sweep.csv and index.sqlite. Both can be made again at any time; nothing
is kept in them that the folders do not say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from clrun.console.sweep_table import print_sweep
from clrun.disk.files import write_bytes, write_text
from clrun.errors import StorageError
from clrun.records.outcome import NOT_STARTED, Outcome
from clrun.records.results_end import NONE, read_numbers
from clrun.sweep.csv_text import csv_text
from clrun.sweep.folder import SweepFolder
from clrun.sweep.index import index_bytes, read_index
from clrun.sweep.listed import listed
from clrun.sweep.manifest import Job, each_job
from clrun.sweep.outcomes import COMPLETED
from clrun.sweep.progress import QUEUED, JobState, Looked, way_on
from clrun.sweep.record import asked_for_references, swept_keys

WALL_SECONDS = "wall_seconds."


@dataclass(frozen=True, kw_only=True)
class Row:
    """All that is said of a job in one line."""

    number: int
    values: Mapping[str, str]
    """swept key -> its value as typed"""
    overrides: tuple[str, ...]
    folder: str
    config_hash: str
    status: str
    reason: str | None
    metrics: Mapping[str, float | None]
    cost: Mapping[str, float | None]
    seconds: float | None
    """that its processes took; parts that it shares with others are theirs"""
    attempts: int
    host: str
    ended: str
    is_reference: bool = False
    """to hold others against (`clrun.sweep.references`)"""

    @property
    def outcome(self) -> Outcome:
        """The job as the table of a sweep takes it."""
        run = [v for k, v in self.cost.items() if k.startswith(WALL_SECONDS) and v is not None]
        return Outcome(
            values=self.values,
            status=NOT_STARTED if self.status == QUEUED else self.status,
            reason=self.reason,
            metrics=self.metrics,
            seconds=sum(run),
            is_reference=self.is_reference,
        )


def rows(path: Path) -> Iterator[Row]:
    """The rows of a sweep, in the order of its jobs.

    Of a job with references the metrics that need them have a value.

    Raises:
        ConfigError: the folder holds no sweep, or its manifest is damaged.
    """
    folder, swept = Looked(path), swept_keys(path)
    beside = _metrics_beside(path)
    for job in each_job(path):
        state, outcome = folder.state(listed(job, swept)), folder.outcome(job.number)
        numbers = read_numbers(path / job.folder) if state.state == COMPLETED else NONE
        yield Row(
            number=job.number,
            values=state.values,
            overrides=job.overrides,
            folder=job.folder,
            config_hash=job.hash,
            status=state.state,
            reason=state.reason,
            metrics={**numbers.metrics, **beside(job)} if numbers.metrics else {},
            cost=numbers.cost,
            seconds=state.seconds,
            attempts=state.attempts,
            host="" if outcome is None else outcome.host,
            ended="" if outcome is None else outcome.ended,
            is_reference=job.is_reference,
        )


def _metrics_beside(path: Path) -> Callable[[Job], Mapping[str, float | None]]:
    """What gives the metrics of a job beside its references: with numpy, which a sweep that was not
    asked for any does without."""
    if not asked_for_references(path):
        return lambda job: {}
    from clrun.sweep.beside import metrics_beside

    return metrics_beside(path)


def finish(path: Path) -> list[Row]:
    """Write sweep.csv and index.sqlite, each whole or not at all; what they hold.

    Raises:
        ConfigError: the folder holds no sweep, or its manifest is damaged.
        StorageError: they cannot be written.
    """
    found = list(rows(path))
    folder = SweepFolder(path)
    write_text(folder.table, csv_text(found))
    write_bytes(folder.index, index_bytes(found))
    return found


def current(path: Path, states: Sequence[JobState]) -> list[Row]:
    """The rows of a sweep whose jobs stand so: from its index, which is made again where it is
    missing, damaged or old, and where the disk lets us."""
    found = read_index(SweepFolder(path).index)
    if found is not None and [row.status for row in found] == [each.state for each in states]:
        return found
    try:
        return finish(path)
    except StorageError:
        return list(rows(path))


def print_end(
    console: Console, path: Path, seconds: float | None = None, *, says_way_on: bool = True
) -> None:
    """Write the summary of a sweep, and show it: the table, the best point, what failed and why,
    and how to go on unless somebody else says that."""
    found = finish(path)
    line = way_on(path, [row.status for row in found]) if says_way_on else ""
    print_sweep(console, [row.outcome for row in found], path, seconds, way_on=line)
