"""The mean of a number over seeds, how far off it may be, and which of several means is best."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import pairwise
from typing import NamedTuple

CONFIDENCE = 0.95

HALVINGS = 100
"""Steps of the bisection that finds a quantile; more change nothing in 64 bits."""


class Spread(NamedTuple):
    """A mean, the standard deviation of one value, and half the width of the mean's 95 % confidence
    interval; None for one value alone."""

    mean: float
    sd: float | None
    half_width: float | None
    n: int


class Difference(NamedTuple):
    """How much higher one mean is than another, with its confidence interval."""

    mean: float
    half_width: float
    n: int
    """of the seeds that both have; of the fewer values where they share none"""
    is_paired: bool

    @property
    def low(self) -> float:
        """The lower end of the interval."""
        return self.mean - self.half_width

    @property
    def high(self) -> float:
        """The upper end of the interval."""
        return self.mean + self.half_width


def spread(values: Sequence[float]) -> Spread:
    """The spread of at least one value, its interval by Student's t."""
    mean, count = statistics.fmean(values), len(values)
    if count < 2:
        return Spread(mean, None, None, count)
    sd = statistics.stdev(values)
    return Spread(mean, sd, t_quantile(count - 1) * sd / math.sqrt(count), count)


def difference(
    first: Mapping[str, float], second: Mapping[str, float], *, comparisons: int = 1
) -> Difference | None:
    """How much higher the mean of the first is; both are seed -> value.

    Over the seeds that both have, if these are two or more: a seed's data order and initial weights
    are the same for both, so that their effect cancels. Else Welch's, for independent values. The
    interval holds for all of so many comparisons together (Bonferroni).

    None where nothing can be said: one of them has one value alone, or none of the values differs
    from the next of its kind, which is no chance but a seed that changes nothing.
    """
    level = 1 - (1 - CONFIDENCE) / (2 * comparisons)
    shared = [seed for seed in first if seed in second]
    if len(shared) >= 2:
        return _paired([first[seed] - second[seed] for seed in shared], level)
    if min(len(first), len(second)) < 2:
        return None
    return _welch(list(first.values()), list(second.values()), level)


def may_be_best(points: Sequence[Mapping[str, float]]) -> list[int]:
    """Those points that may have the highest mean of all, the highest one seen first.

    Each is seed -> value. A point is left out where the highest one seen is above it beyond doubt:
    by a two-sided comparison at 5 % over the number of points less one. So the truly best is left
    out in at most 5 % of all such tables: that takes one of the others to be that far above it by
    chance, and there are so many of them (the union bound; Hsu's comparisons with the best rest on
    the same). A point that cannot be compared stays.
    """
    means = [statistics.fmean(point.values()) for point in points]
    order = sorted(range(len(points)), key=lambda place: -means[place])
    if len(order) < 2:
        return order
    best, *others = order

    def is_beaten(place: int) -> bool:
        found = difference(points[best], points[place], comparisons=len(others))
        return found is not None and found.low > 0

    return [best, *(place for place in others if not is_beaten(place))]


def _paired(differences: Sequence[float], level: float) -> Difference | None:
    count = len(differences)
    if _are_equal(differences):
        return None
    error = statistics.stdev(differences) / math.sqrt(count)
    half_width = t_quantile(count - 1, level) * error
    return Difference(statistics.fmean(differences), half_width, count, True)


def _welch(first: Sequence[float], second: Sequence[float], level: float) -> Difference | None:
    if _are_equal(first) and _are_equal(second):
        return None
    a, b = (statistics.variance(values) / len(values) for values in (first, second))
    degrees = (a + b) ** 2 / (a**2 / (len(first) - 1) + b**2 / (len(second) - 1))
    half_width = t_quantile(max(math.floor(degrees + 1e-9), 1), level) * math.sqrt(a + b)
    mean = statistics.fmean(first) - statistics.fmean(second)
    return Difference(mean, half_width, min(len(first), len(second)), False)


def _are_equal(values: Sequence[float]) -> bool:
    """Whether they differ by rounding alone."""
    return all(math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12) for a, b in pairwise(values))


@cache
def t_quantile(degrees: int, probability: float = (1 + CONFIDENCE) / 2) -> float:
    """The quantile of Student's t at a probability from 0.5 on, by halving an interval."""
    low, high = 0.0, math.pi / 2
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if _central(degrees, middle) < 2 * probability - 1:
            low = middle
        else:
            high = middle
    return math.sqrt(degrees) * math.tan(low)


def _central(degrees: int, angle: float) -> float:
    """P(|T| < sqrt(degrees) tan(angle)): Abramowitz and Stegun 26.7.3 and 26.7.4."""
    sine, cosine = math.sin(angle), math.cos(angle)
    is_odd = degrees % 2 == 1
    term, total = (cosine if is_odd else 1.0), 0.0
    for index in range(degrees // 2):
        total += term
        even, odd = 2 * index + 2, 2 * index + 1
        term *= cosine**2 * (even / (even + 1) if is_odd else odd / even)
    return (angle + sine * total) * 2 / math.pi if is_odd else sine * total
