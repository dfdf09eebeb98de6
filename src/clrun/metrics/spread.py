"""The mean of a number over seeds, and how far off it may be."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

# fmt: off
T_QUANTILES = (
    12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281,
    2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860,
)
# fmt: on
"""97.5 % quantiles of Student's t with 1, 2, ... degrees of freedom."""


class Spread(NamedTuple):
    """A mean with half the width of its 95 % confidence interval; None for one value alone."""

    mean: float
    half_width: float | None


def spread(values: Sequence[float]) -> Spread:
    """The mean of at least one value, with its interval by Student's t."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return Spread(mean, None)
    error = statistics.stdev(values) / math.sqrt(len(values))
    return Spread(mean, t_quantile(len(values) - 1) * error)


def t_quantile(degrees: int) -> float:
    """The 97.5 % quantile of Student's t; beyond the table to four digits (Cornish-Fisher)."""
    if degrees <= len(T_QUANTILES):
        return T_QUANTILES[degrees - 1]
    z = statistics.NormalDist().inv_cdf(0.975)
    first = (z**3 + z) / (4 * degrees)
    second = (5 * z**5 + 16 * z**3 + 3 * z) / (96 * degrees**2)
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * degrees**3)
    return z + first + second + third
