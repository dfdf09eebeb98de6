"""How far off an accuracy may be because only so many rows were tested: 95 % intervals.

They say what other test rows of the same kind would have given the same model. What another seed or
another order of classes would have changed is not in them: that takes several runs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Z = 1.959963984540054
"""The 97.5 % quantile of the normal distribution."""

Interval = tuple[float, float]


def wilson(share: float, rows: int) -> Interval:
    """The score interval of a share of so many rows, at least one (Wilson 1927).

    Unlike the usual one it has a width at 0 and at 1, and never leaves [0, 1].
    https://doi.org/10.1080/01621459.1927.10502953
    """
    squared = Z * Z
    middle = (share + squared / (2 * rows)) / (1 + squared / rows)
    half = Z * math.sqrt(share * (1 - share) / rows + squared / (4 * rows * rows))
    half /= 1 + squared / rows
    return min(max(middle - half, 0.0), share), max(min(middle + half, 1.0), share)


def weighted(shares: Sequence[float], rows: Sequence[int], weights: Sequence[float]) -> Interval:
    """The interval of sum_j weights[j] shares[j], each share of rows of its own.

    The distances from each share to the ends of its Wilson interval are added as squares (MOVER,
    Zou & Donner 2008, https://doi.org/10.1002/sim.3095); of a single share of weight 1 that is its
    own interval. Where two shares are of the same rows, as before and after, they are taken as
    independent, which is too wide if a row that is hard stays hard.
    """
    value = below = above = 0.0
    for share, count, weight in zip(shares, rows, weights, strict=True):
        low, high = wilson(share, count)
        down, up = (share - low, high - share) if weight >= 0 else (high - share, share - low)
        value += weight * share
        below += (weight * down) ** 2
        above += (weight * up) ** 2
    return value - math.sqrt(below), value + math.sqrt(above)
