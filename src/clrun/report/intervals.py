"""The 95 % intervals of a single run's numbers, over its test rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from clrun.metrics import Measurements
from clrun.metrics.proportion import Interval, weighted, wilson

Floats = NDArray[np.float64]


def intervals(measured: Measurements) -> dict[str, Interval]:
    """Metric -> interval, of those that are sums of accuracies on rows that are known."""
    if measured.test_rows is None:
        return {}
    matrix = np.asarray(measured.accuracy, dtype=np.float64)
    rows = np.asarray(measured.test_rows)
    found = {key: of(matrix, rows) for key, of in OF.items()}
    return {key: interval for key, interval in found.items() if interval is not None}


def test_rows(measured: Measurements) -> list[int] | None:
    """The test rows of each experience; None where they are not known."""
    given = measured.test_rows
    return None if given is None else [int(count) for count in np.asarray(given)]


def cell(accuracy: float | None, rows: int | None) -> Interval | None:
    """The interval of one accuracy; None where it or its rows are not known."""
    if accuracy is None or not math.isfinite(accuracy) or not rows:
        return None
    return wilson(accuracy, int(rows))


def mean_so_far(accuracies: Sequence[float], rows: Sequence[int]) -> Interval | None:
    """The interval of the mean of some experiences' accuracies."""
    if not accuracies or not all(map(math.isfinite, accuracies)) or not all(rows):
        return None
    return weighted(accuracies, rows, [1 / len(accuracies)] * len(accuracies))


def _final(matrix: Floats, rows: NDArray[np.int64]) -> Interval | None:
    return mean_so_far(matrix[-1].tolist(), rows.tolist()) if matrix.size else None


def _pooled(matrix: Floats, rows: NDArray[np.int64]) -> Interval | None:
    if not matrix.size or not rows.sum():
        return None
    last, tested = matrix[-1], rows > 0
    if not np.isfinite(last[tested]).all():
        return None
    return wilson(float((last[tested] * rows[tested]).sum() / rows.sum()), int(rows.sum()))


def _learning(matrix: Floats, rows: NDArray[np.int64]) -> Interval | None:
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        return None
    return mean_so_far(np.diagonal(matrix).tolist(), rows.tolist())


def _change(matrix: Floats, rows: NDArray[np.int64]) -> Interval | None:
    """Backward transfer: the last row less the diagonal."""
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or len(matrix) < 2:
        return None
    before, after = np.diagonal(matrix)[:-1], matrix[-1, :-1]
    shares = np.concatenate([after, before])
    if not np.isfinite(shares).all() or not rows[:-1].all():
        return None
    weight = 1 / len(before)
    tested = rows[:-1].tolist() * 2
    return weighted(shares.tolist(), tested, [weight] * len(before) + [-weight] * len(before))


def _lost(matrix: Floats, rows: NDArray[np.int64]) -> Interval | None:
    change = _change(matrix, rows)
    return None if change is None else (-change[1], -change[0])


OF: Mapping[str, Callable[[Floats, NDArray[np.int64]], Interval | None]] = {
    "acc_final": _final,
    "acc_pooled": _pooled,
    "learning_accuracy": _learning,
    "bwt": _change,
    "forgetting_first": _lost,
}
