"""What is compared: methods, each the runs that differ in seed and class order alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from clrun.records.outcome import COMPLETED
from clrun.records.past_run import PastRun
from clrun.records.spread import Spread, spread

MISSING = "missing"
"""The status of a job of a sweep that nobody has begun."""


class Start(NamedTuple):
    """What makes runs of two methods a pair."""

    seed: int
    order: str
    """stands for the classes of each experience; empty where they are not known"""

    def __str__(self) -> str:
        return f"seed {self.seed}" + (f", class order {self.order}" if self.order else "")


@dataclass(frozen=True, kw_only=True)
class MethodRun:
    """A run of a method, or a job of a sweep that is to be one."""

    folder: Path
    name: str
    """what tells it from other runs, for a person"""
    status: str
    """that of its folder or its sweep; `missing` where it has not begun"""
    reason: str | None = None
    """why it failed, in one line"""
    block: str = ""
    """what was swept beside the method and the seed, as typed: pairs have the same"""
    past: PastRun | None = None
    """None where its folder holds no run"""
    start: Start | None = None
    """None where it is not known"""

    @property
    def is_completed(self) -> bool:
        """Whether it came to its end."""
        return self.status == COMPLETED and self.past is not None and self.start is not None

    def value(self, metric: str) -> float | None:
        """A metric of a completed run; None where it is undefined, or the run is not completed."""
        return self.past.metrics.get(metric) if self.is_completed and self.past else None


@dataclass(frozen=True, kw_only=True)
class Method:
    """The runs of one method."""

    name: str
    values: Mapping[str, str]
    """the keys that tell it from the others -> its values, as typed"""
    runs: tuple[MethodRun, ...]

    @property
    def completed(self) -> list[MethodRun]:
        """Those that came to their end."""
        return [run for run in self.runs if run.is_completed]

    @property
    def blocks(self) -> tuple[str, ...]:
        """Each value of what was swept beside the method, over which its scores are means."""
        return tuple(sorted({run.block for run in self.runs}))

    def scores(self, metric: str) -> dict[Start, float]:
        """The value for each start: the mean over the blocks, where all of them have one."""
        found = {start: dict(self._values(start, metric)) for start in self.starts}
        whole = len(self.blocks)
        return {
            start: fmean(values.values()) for start, values in found.items() if len(values) == whole
        }

    @property
    def starts(self) -> list[Start]:
        """Those of completed runs, in order."""
        return sorted({run.start for run in self.completed if run.start is not None})

    def spread(self, metric: str) -> Spread | None:
        """Mean, standard deviation, interval and n; None without a value."""
        values = list(self.scores(metric).values())
        return spread(values) if values else None

    def facts(self, start: Start, fact: Callable[[PastRun], Any]) -> list[Any]:
        """What the runs of one start say of something; nothing where one does not say it."""
        said = [fact(run.past) for run in self.completed if run.start == start and run.past]
        return [] if None in said else said

    def _values(self, start: Start, metric: str) -> Iterator[tuple[str, float]]:
        for run in self.completed:
            value = run.value(metric)
            if run.start == start and value is not None:
                yield run.block, value
