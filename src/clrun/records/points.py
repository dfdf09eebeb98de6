"""The points of a sweep: jobs that differ in their seeds alone, folded; and which is the best."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from clrun.records.outcome import COMPLETED, Outcome, seeds, unseeded
from clrun.records.spread import Difference, Spread, difference, may_be_best, spread

HEADLINES = ("acc_final", "acc_pooled")
"""What points are ranked by: the first that every one of them has, else the first that any has."""


@dataclass(frozen=True)
class Point:
    """Jobs with the same values of all swept keys but seeds."""

    values: Mapping[str, str]
    """without those of seeds"""
    outcomes: tuple[Outcome, ...]

    @property
    def is_reference(self) -> bool:
        """Whether it is there to hold others against, and cannot be the best."""
        return all(outcome.is_reference for outcome in self.outcomes)

    @property
    def done(self) -> list[Outcome]:
        """Those that completed."""
        return [outcome for outcome in self.outcomes if outcome.status == COMPLETED]

    def by_seed(self, metric: str) -> dict[str, float]:
        """Seeds -> value of a metric, of the completed runs; empty where one of them has none."""
        found = {seeds(outcome.values): outcome.metrics.get(metric) for outcome in self.done}
        known = {name: value for name, value in found.items() if value is not None}
        return known if len(known) == len(found) else {}

    def spread(self, metric: str) -> Spread | None:
        """A metric over the seeds; None where a completed run has none, or none is completed."""
        values = list(self.by_seed(metric).values())
        return spread(values) if values else None


class Best(NamedTuple):
    """The best point of several, and how sure that is."""

    point: Point
    spread: Spread
    among: int
    """points that it was chosen from"""
    unranked: int
    """points with completed runs one of which has no such number"""
    rivals: tuple[Point, ...]
    """others that may be the best, with 95 % confidence that it is one of these or the best itself
    (`may_be_best`)"""
    nearest: Point
    """the highest one of the rivals; without any, of all others"""
    ahead: Difference | None
    """of the nearest, by an interval that holds for all comparisons with the best at once; None
    where that cannot be told"""


def points(outcomes: Sequence[Outcome]) -> list[Point]:
    """The points of a sweep, in the order of their first jobs."""
    groups: dict[tuple[tuple[str, str], ...], list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        groups[tuple(unseeded(outcome.values).items())].append(outcome)
    return [Point(dict(values), tuple(group)) for values, group in groups.items()]


def headline(found: Sequence[Point]) -> str | None:
    """The metric that points are ranked by; None where no point has one."""
    done = [point for point in found if point.done]
    for enough in (all, any):
        for metric in HEADLINES:
            if done and enough(bool(point.by_seed(metric)) for point in done):
                return metric
    return None


def ranked(found: Sequence[Point]) -> list[Point]:
    """The points by their means, the highest first, and last those that have none."""
    metric = headline(found)

    def mean(point: Point) -> float:
        known = None if metric is None else point.spread(metric)
        return -math.inf if known is None else known.mean

    return sorted(found, key=mean, reverse=True)


def best(found: Sequence[Point]) -> Best | None:
    """The point with the highest mean; None where there are no two that can be ranked."""
    metric = headline(found)
    found = [point for point in found if not point.is_reference]
    able = [point for point in found if metric is not None and point.by_seed(metric)]
    if metric is None or len(able) < 2:
        return None
    values = [point.by_seed(metric) for point in able]
    means = [spread(list(each.values())) for each in values]
    first, second = sorted(range(len(able)), key=lambda place: -means[place].mean)[:2]
    rivals = may_be_best(values)[1:]
    nearest = rivals[0] if rivals else second
    return Best(
        point=able[first],
        spread=means[first],
        among=len(able),
        unranked=sum(bool(point.done) for point in found) - len(able),
        rivals=tuple(able[place] for place in rivals),
        nearest=able[nearest],
        ahead=difference(values[first], values[nearest], comparisons=len(able) - 1),
    )
