"""How much is known: averages of accuracies, over experiences, patterns or the stream."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from clrun.metrics.matrix import accuracy_matrix, diagonal, last_row, measured, square_matrix
from clrun.metrics.undefined import Undefined


def acc_final(R: ArrayLike) -> float:
    """ACC = 1/T sum_j R[T, j]: mean accuracy over experiences after the whole stream.

    Lopez-Paz & Ranzato 2017 (https://arxiv.org/abs/1706.08840). Every experience
    counts the same, whatever its size. The last row of R is taken as the end of the stream.
    """
    matrix = accuracy_matrix(R)
    return float(last_row(matrix, columns=matrix.shape[1]).mean())


def acc_pooled(R: ArrayLike, sizes: ArrayLike | None) -> float:
    """sum_j n_j R[T, j] / sum_j n_j: final accuracy over test patterns; n_j is `sizes[j]`.

    Differs from `acc_final` when test sets differ in size; it is the accuracy on their union.
    """
    matrix = accuracy_matrix(R)
    if sizes is None:
        raise Undefined("the sizes of the test sets are not known")
    weights = np.asarray(sizes, dtype=np.float64)
    assert weights.shape == (matrix.shape[1],), f"{weights.shape} sizes for R {matrix.shape}"
    tested = np.flatnonzero(weights)  # an empty test set has no accuracy and needs none
    if tested.size == 0:
        raise Undefined("every test set is empty")
    final = measured(matrix, np.full(tested.size, len(matrix) - 1), tested)
    return float(np.average(final, weights=weights[tested]))


def aia(R: ArrayLike) -> float:
    """Average incremental accuracy: 1/T sum_k (1/k) sum_{j<=k} R[k, j].

    The average of the curve of Rebuffi et al. 2017 (iCaRL, https://arxiv.org/abs/1611.07725),
    with each point the mean over the experiences so far. Needs no entry above the
    diagonal. Never compare it with a final accuracy.
    """
    matrix = square_matrix(R)
    measured(matrix, *np.tril_indices(len(matrix)))
    so_far = np.tril(matrix).sum(axis=1) / np.arange(1, len(matrix) + 1)
    return float(so_far.mean())


def learning_accuracy(R: ArrayLike) -> float:
    """LA = 1/T sum_j R[j, j]: mean accuracy on each experience just after learning it.

    Plasticity, as in Riemer et al. 2019 (https://arxiv.org/abs/1810.11910).
    """
    matrix = square_matrix(R)
    return float(diagonal(matrix, columns=len(matrix)).mean())
