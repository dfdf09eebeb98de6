"""A sweep as its page takes it: its jobs, its points, and which of these may be the best."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean

from clrun.console.sweep_display import short_keys, short_name
from clrun.metrics.table import all_metrics
from clrun.records.costs import COSTS
from clrun.records.outcome import COMPLETED, unseeded
from clrun.records.points import Best, Point, best, headline, points
from clrun.report.scored import Scored
from clrun.sweep.summary import Row

NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, kw_only=True)
class SweepPoint(Scored):
    """Jobs that differ in their seeds alone."""

    point: Point
    rows: tuple[Row, ...]
    is_best: bool = False
    is_reference: bool = False
    """others are held against it"""
    may_be_best: bool = False
    """the best itself, and those that cannot be told from it"""

    @property
    def values(self) -> Mapping[str, str]:
        """Swept key but seeds -> its value as typed."""
        return self.point.values

    @property
    def name(self) -> str:
        """Its values, as the terminal has them."""
        return short_name(self.values) or "the only point"

    @property
    def done(self) -> list[Row]:
        """The jobs that completed."""
        return [row for row in self.rows if row.status == COMPLETED]

    def cost(self, key: str) -> float | None:
        """The mean of a cost over the completed jobs; None where one of them does not know it."""
        found = [COSTS[key].of(row.cost) for row in self.done]
        known = [value for value in found if value is not None]
        return fmean(known) if known and len(known) == len(found) else None


@dataclass(frozen=True, kw_only=True)
class SweepView:
    """All that is shown of a sweep."""

    path: Path
    rows: tuple[Row, ...]

    @cached_property
    def metric(self) -> str | None:
        """What points are ranked by."""
        return headline(self._points)

    @property
    def label(self) -> str:
        """The name of that metric for a person."""
        return all_metrics()[self.metric].label if self.metric else "accuracy"

    @cached_property
    def best(self) -> Best | None:
        """The best point and how sure that is, by the rule of the terminal."""
        return best(self._points)

    @cached_property
    def points(self) -> list[SweepPoint]:
        """The points, the best first, and last those without a number."""
        groups: dict[tuple[tuple[str, str], ...], list[Row]] = defaultdict(list)
        for row in self.rows:
            groups[tuple(unseeded(row.values).items())].append(row)
        made = [self._made(p, rows) for p, rows in zip(self._points, groups.values(), strict=True)]
        return sorted(made, key=lambda p: -2.0 if p.spread is None else p.spread.mean, reverse=True)

    @cached_property
    def ranked(self) -> list[SweepPoint]:
        """Those with a number, references left out."""
        return [p for p in self.points if p.spread is not None and not p.is_reference]

    @cached_property
    def references(self) -> list[SweepPoint]:
        """Those that others are held against."""
        return [point for point in self.points if point.is_reference]

    @cached_property
    def keys(self) -> dict[str, str]:
        """Swept key but seeds -> a short name for it."""
        keys = list(dict.fromkeys(key for point in self._points for key in point.values))
        return dict(zip(keys, short_keys(keys), strict=True))

    def values(self, key: str) -> list[str]:
        """The values of a key among ranked points: numbers rising, others as they came."""
        found = list(dict.fromkeys(p.values[key] for p in self.ranked if key in p.values))
        try:
            return sorted(found, key=float)
        except ValueError:
            return found

    def counts(self) -> dict[str, int]:
        """Jobs in each state in which there are any."""
        states = [row.status for row in self.rows]
        return {state: states.count(state) for state in dict.fromkeys(states)}

    def reasons(self) -> list[tuple[str, list[Row]]]:
        """Why jobs failed, the reason of most first; those that differ in numbers alone, such as
        where it was, are one."""
        groups: dict[str, list[Row]] = defaultdict(list)
        for row in self.rows:
            if row.reason is not None:
                groups[NUMBER.sub("#", row.reason)].append(row)
        ordered = sorted(groups.values(), key=len, reverse=True)
        return [(_reason(rows), rows) for rows in ordered]

    @cached_property
    def _points(self) -> list[Point]:
        return points([row.outcome for row in self.rows])

    def _made(self, point: Point, rows: Sequence[Row]) -> SweepPoint:
        found = self.best
        is_best = found is not None and point is found.point
        return SweepPoint(
            point=point,
            rows=tuple(rows),
            spread=None if self.metric is None else point.spread(self.metric),
            is_best=is_best,
            is_reference=point.is_reference,
            may_be_best=is_best or (found is not None and any(point is r for r in found.rivals)),
        )


def _reason(rows: Sequence[Row]) -> str:
    """The reason of jobs, and that the numbers in it are of the first alone."""
    first = rows[0].reason or ""
    differ = any(row.reason != first for row in rows)
    return f"{first.rstrip('.')} (the first of them; the numbers differ)" if differ else first
