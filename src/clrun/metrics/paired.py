"""Two methods on the same seeds and class orders: how much better one is, and how sure that is.

Everything is of the differences between runs that belong together, so that what both methods owe to
a lucky seed or an easy order cancels. SciPy is imported when something is first asked for.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from clrun.metrics.matrix import Floats

LEVEL = 0.05
"""What happens by chance less often than this counts as shown; its intervals are of 95 %."""
MOST_EXACT = 20
"""Up to so many pairs each of the 2^n ways to flip signs is looked at, a million at most."""
DRAWS = 99_999
"""Ways to flip the signs of more pairs than that, drawn with a fixed seed."""
POWER = 0.8
"""How often a difference as large as the one found would be shown by as many seeds as are named."""
MOST_SEEDS = 1000
"""More seeds than this nobody runs: the difference is too small to be told."""
FAR = 30.0
"""From here on a noncentral t is far above every critical value, and hard to compute."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A against B, of pairs of runs."""

    n: int
    """pairs"""
    mean: float
    """of the differences A - B"""
    sd: float | None
    """of the differences; None for one alone"""
    low: float | None
    high: float | None
    """the 95 % interval of the mean, by Student's t; None for one pair alone"""
    p: float
    """two-sided sign-flip permutation test of the mean"""
    exact: bool
    """every way to flip the signs was looked at"""
    p_holm: float
    """the same, held to its level over all comparisons that were made beside it (Holm)"""
    effect: float | None
    """mean / SD of the differences (Cohen's d_z); None where the SD is 0 or unknown"""
    superiority: float
    """share of pairs in which A is better, ties counted half"""
    better: Literal["higher", "lower"]
    beside: int = 1
    """comparisons that were made at once, this one among them"""

    @property
    def is_shown(self) -> bool:
        """Whether the difference is more than chance, at `LEVEL`."""
        return self.p_holm < LEVEL


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """What two methods have in common."""

    a: Floats
    b: Floats
    """[n]: the values of both, pair by pair"""
    keys: tuple[Hashable, ...]
    """[n]: the seed and class order of each pair"""
    only_a: tuple[Hashable, ...]
    only_b: tuple[Hashable, ...]
    """those that one of them alone has"""


def pairs(a: Mapping[Hashable, float | None], b: Mapping[Hashable, float | None]) -> Pairs:
    """The values of two methods for the keys that both have, in the order of the first.

    A key is what makes two runs belong together: the seed with the class order. A value that is
    None, or no finite number, is not there.
    """
    known_a = {k: value for k, value in a.items() if value is not None and math.isfinite(value)}
    known_b = {k: value for k, value in b.items() if value is not None and math.isfinite(value)}
    both = tuple(key for key in known_a if key in known_b)
    return Pairs(
        a=np.array([known_a[key] for key in both], dtype=np.float64),
        b=np.array([known_b[key] for key in both], dtype=np.float64),
        keys=both,
        only_a=tuple(key for key in known_a if key not in known_b),
        only_b=tuple(key for key in known_b if key not in known_a),
    )


def compared(
    a: ArrayLike, b: ArrayLike, *, better: Literal["higher", "lower"] = "higher"
) -> Comparison:
    """A against B; a[i] and b[i] belong together. At least one pair."""
    values_a, values_b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    assert values_a.shape == values_b.shape, f"{values_a.shape} and {values_b.shape} are no pairs"
    differences = values_a - values_b
    n = differences.size
    assert n > 0, "nothing to compare"
    mean, sd = float(differences.mean()), _sd(differences) if n > 1 else None
    low, high = interval(differences) if n > 1 else (None, None)
    wins = differences > 0 if better == "higher" else differences < 0
    p = float(sign_flip_p(differences))
    return Comparison(
        n=n,
        mean=mean,
        sd=sd,
        low=None if low is None else float(low),
        high=None if high is None else float(high),
        p=p,
        exact=n <= MOST_EXACT,
        p_holm=p,
        effect=mean / sd if sd else None,
        superiority=float((wins + 0.5 * (differences == 0)).mean()),
        better=better,
    )


def with_holm(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The same comparisons, each p-value adjusted for there being several."""
    adjusted = holm([comparison.p for comparison in comparisons])
    count = len(comparisons)
    return [replace(c, p_holm=p, beside=count) for c, p in zip(comparisons, adjusted, strict=True)]


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment: the chance of even one false alarm among all stays at the level.

    Holm 1979 (https://www.jstor.org/stable/4615733).
    """
    count, highest = len(p_values), 0.0
    adjusted = [0.0] * count
    for rank, place in enumerate(sorted(range(count), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (count - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted


def interval(differences: ArrayLike) -> tuple[Floats, Floats]:
    """The 95 % interval of the mean by Student's t. [..., n] -> two of [...]; n is at least 2."""
    from scipy.special import stdtrit

    values = np.asarray(differences, dtype=np.float64)
    n = values.shape[-1]
    half = stdtrit(n - 1, 1 - LEVEL / 2) * values.std(axis=-1, ddof=1) / math.sqrt(n)
    mean = values.mean(axis=-1)
    return mean - half, mean + half


def sign_flip_p(differences: ArrayLike) -> Floats:
    """The share of ways to flip signs whose mean is at least as far from 0. [..., n] -> [...]

    If the two methods do not differ, each difference has either sign by chance (Fisher 1935). Every
    way is looked at up to `MOST_EXACT` differences; of more, `DRAWS` ways are drawn, and the one
    that was found counts as one of them, so that p is never 0 (Phipson & Smyth 2010,
    https://doi.org/10.2202/1544-6115.1585).
    """
    values = np.asarray(differences, dtype=np.float64)
    n = values.shape[-1]
    found = np.abs(values.sum(axis=-1))[..., None]
    slack = 1e-9 * np.abs(values).sum(axis=-1)[..., None]  # sums that are equal but for rounding
    if n <= MOST_EXACT:
        return (np.abs(_all_sums(values)) >= found - slack).mean(axis=-1)
    generator = np.random.default_rng(0)
    as_far = np.zeros(values.shape[:-1])
    for done in range(0, DRAWS, 10_000):
        signs = generator.integers(0, 2, (n, min(10_000, DRAWS - done))) * 2.0 - 1
        as_far += (np.abs(values @ signs) >= found - slack).sum(axis=-1)
    return (as_far + 1) / (DRAWS + 1)


def seeds_needed(comparison: Comparison) -> int | None:
    """How many pairs would show a difference like this one four times in five.

    By the power of the paired t-test, at the level divided by the comparisons that were made at
    once; None where more than `MOST_SEEDS` would not.
    """
    fewest = fewest_pairs(comparison.beside)
    if comparison.effect is None:
        return fewest if comparison.mean else None
    numbers = range(fewest, MOST_SEEDS + 1)
    effect, level = abs(comparison.effect), LEVEL / comparison.beside
    place = bisect_left(numbers, True, key=lambda n: _power(effect, n, level) >= POWER)
    return numbers[place] if place < len(numbers) else None


def fewest_pairs(comparisons: int = 1) -> int:
    """With fewer the smallest p-value that there is, 2/2^n for each comparison, is not below
    `LEVEL`."""
    return math.floor(math.log2(2 * comparisons / LEVEL)) + 1


def verdict(a: str, b: str, comparison: Comparison, *, of: str, unit: str = "seed") -> str:
    """What the comparison says, in one plain sentence; `of` is the metric's name."""
    if comparison.n > 1 and comparison.mean == 0 and not comparison.sd:
        return f"{a} and {b} have the same {of} on all {comparison.n} {unit}s."
    leads = (comparison.mean > 0) == (comparison.better == "higher")
    first, second = (a, b) if leads else (b, a)
    if comparison.is_shown:
        return f"{first} is better than {second}: {size_of(comparison, of=of)}."
    found = (
        f"{first} is ahead by {abs(comparison.mean):.4f} in {of}"
        if comparison.mean
        else f"no difference in {of} was found"
    )
    sure = how_sure(comparison)
    return f"Cannot tell {a} from {b}: {found} ({sure}); {way_on(comparison, unit=unit)}."


def size_of(comparison: Comparison, *, of: str) -> str:
    """How large a difference is that is shown, with its interval."""
    low, high = sorted(abs_ends(comparison))
    size, sure = abs(comparison.mean), how_sure(comparison)
    return f"{of} differs by {size:.4f} (95 % interval {low:.4f} to {high:.4f}; {sure})"


def how_sure(comparison: Comparison) -> str:
    """The p-value and the number of pairs."""
    return f"{shown_p(comparison.p_holm)}, n = {comparison.n}"


def shown_p(p: float) -> str:
    """A p-value as it is read."""
    return f"p = {p:.2g}" if p >= 0.001 else "p < 0.001"


def abs_ends(comparison: Comparison) -> tuple[float, float]:
    """The ends of the interval, counted in the direction of the mean."""
    assert comparison.low is not None
    assert comparison.high is not None
    sign = 1 if comparison.mean >= 0 else -1
    return sign * comparison.low, sign * comparison.high


def way_on(comparison: Comparison, *, unit: str = "seed") -> str:
    """What would settle a difference that is not shown."""
    if comparison.n > 1 and not comparison.mean and not comparison.sd:
        return f"they are the same on all {comparison.n} {unit}s"
    alone = fewest_pairs(comparison.beside)
    needed = seeds_needed(comparison) if comparison.n > 1 else alone
    if needed is None:
        bound = max(abs(comparison.low or 0.0), abs(comparison.high or 0.0))
        return f"no reasonable number of {unit}s would: it is at most {bound:.4f} either way"
    more = max(needed - comparison.n, 1)
    return f"about {more:,} more {unit}{'' if more == 1 else 's'} would settle it"


def _sd(differences: Floats) -> float:
    """0 where they differ by rounding alone, which would make any mean look sure."""
    sd = float(differences.std(ddof=1))
    return 0.0 if sd <= 1e-12 * np.abs(differences).max() else sd


def _power(effect: float, n: int, level: float) -> float:
    """How often a two-sided t-test of n differences at this level finds an effect of this size."""
    from scipy.special import nctdtr, stdtrit

    critical, shift = stdtrit(n - 1, 1 - level / 2), effect * math.sqrt(n)
    if shift > FAR:
        return 1.0
    return float(1 - nctdtr(n - 1, shift, critical))


def _all_sums(values: Floats) -> Floats:
    """Every sum with the first sign kept: half of all ways, which stand for their opposites."""
    sums = values[..., :1]
    for place in range(1, values.shape[-1]):
        each = values[..., place : place + 1]
        sums = np.concatenate([sums + each, sums - each], axis=-1)
    return sums
