"""Class means and the nearest of them by their definition, one row and one number at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence


def unit(row: Sequence[float]) -> list[float]:
    length = math.sqrt(math.fsum(v * v for v in row))
    return [v / length for v in row] if length else list(row)


def class_means(rows: Sequence[Sequence[float]], y: Sequence[int]) -> dict[int, list[float]]:
    """The mean of each class that has a row: of rows of unit length, then of unit length itself."""
    found = {}
    for k in sorted(set(y)):
        own = [unit(row) for row, label in zip(rows, y, strict=True) if label == k]
        found[k] = unit([math.fsum(column) / len(own) for column in zip(*own, strict=True)])
    return found


def nearest(row: Sequence[float], means: dict[int, list[float]]) -> int:
    """The class with the mean at the smallest distance; of equal ones the first."""
    return min(means, key=lambda k: math.dist(unit(row), means[k]))
