"""What learning one experience does to the others: transfer and forgetting."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from clrun.metrics.matrix import diagonal, last_row, measured, square_matrix
from clrun.metrics.undefined import Undefined


def bwt(R: ArrayLike) -> float:
    """Backward transfer: 1/(T-1) sum_{j<T} (R[T, j] - R[j, j]); negative means forgetting.

    Lopez-Paz & Ranzato 2017 (https://arxiv.org/abs/1706.08840).
    """
    matrix = square_matrix(R, least=2)
    earlier = len(matrix) - 1
    change = last_row(matrix, columns=earlier) - diagonal(matrix, columns=earlier)
    return float(change.mean())


def fwt(R: ArrayLike, b: ArrayLike | None) -> float:
    """Forward transfer: 1/(T-1) sum_{j=2..T} (R[j-1, j] - b[j]); `b` of the untrained model.

    Lopez-Paz & Ranzato 2017 (https://arxiv.org/abs/1706.08840). With one head and
    new classes it is about minus the mean of `b`: classes not yet seen are never predicted.
    """
    matrix = square_matrix(R, least=2)
    if b is None:
        raise Undefined("the accuracies of the untrained model were not measured")
    untrained = np.asarray(b, dtype=np.float64)
    assert untrained.shape == (len(matrix),), f"b {untrained.shape} for R {matrix.shape}"
    later = np.arange(1, len(matrix))
    for j in later[np.isnan(untrained[later])][:1]:
        raise Undefined(f"accuracy of the untrained model on experience {j} was not measured")
    return float((measured(matrix, later - 1, later) - untrained[later]).mean())


def forgetting_max(R: ArrayLike) -> float:
    """F = 1/(T-1) sum_{j<T} (max_{l<T} R[l, j] - R[T, j]): the drop from the best.

    Chaudhry et al. 2018 (https://arxiv.org/abs/1801.10112). The best may precede learning
    experience j, so with the entries above the diagonal missing there is no value: one from the
    others would be another number for the same model.
    """
    matrix = square_matrix(R, least=2)
    earlier = len(matrix) - 1
    measured(matrix, *np.tril_indices(len(matrix)))
    for row, column in np.argwhere(np.isnan(matrix[:earlier, :earlier]))[:1]:
        raise Undefined(
            f"accuracy on experience {column} after experience {row} was not measured: "
            "use eval=full"
        )
    best = matrix[:earlier, :earlier].max(axis=0)
    return float((best - last_row(matrix, columns=earlier)).mean())


def forgetting_first(R: ArrayLike) -> float:
    """1/(T-1) sum_{j<T} (R[j, j] - R[T, j]): the drop since learning it, which is -BWT.

    What Avalanche and ocl_survey call forgetting; at most `forgetting_max`.
    """
    return 0.0 - bwt(R)  # not -bwt(R), which makes -0.0 of 0.0
