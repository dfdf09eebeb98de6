"""A run beside another one of the same stream: what it could not learn, what it did not forget."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from clrun.metrics.matrix import accuracy_matrix, diagonal, measured, square_matrix
from clrun.metrics.transfer import forgetting_max
from clrun.metrics.undefined import Undefined


def intransigence(R: ArrayLike, joint: ArrayLike | None) -> float:
    """I = 1/T sum_k (a*[k] - R[k, k]): what training on all data at once has over learning k last.

    Chaudhry et al. 2018 (https://arxiv.org/abs/1801.10112). `joint` is the matrix of a joint run,
    whose only row is a*, or of a cumulative one, whose diagonal is: it has seen no data after k,
    as in the paper. Negative where the reference is worse.
    """
    matrix = square_matrix(R)
    if joint is None:
        raise Undefined("needs a joint run of the same stream: clrun metrics DIR --joint DIR")
    reference = accuracy_matrix(joint)
    count = len(matrix)
    if reference.shape[1] != count:
        raise Undefined(f"the joint run has {reference.shape[1]} experiences, this one {count}")
    if len(reference) not in (1, count):
        raise Undefined("the joint run did not finish")
    rows = np.arange(count) if len(reference) == count else np.zeros(count, dtype=np.intp)
    best = measured(reference, rows, np.arange(count))
    return float((best - diagonal(matrix, columns=count)).mean())


def relative_forgetting(R: ArrayLike, naive: ArrayLike | None) -> float:
    """F(R) / F(naive): the share of what a run without any remedy forgets that is still forgotten.

    F is `forgetting_max`; the ratio is ours.
    """
    own = forgetting_max(R)
    if naive is None:
        raise Undefined("needs a naive run of the same stream: clrun metrics DIR --naive DIR")
    other = accuracy_matrix(naive)
    count = np.shape(R)[1]
    if other.shape[1] != count:
        raise Undefined(f"the naive run has {other.shape[1]} experiences, this one {count}")
    try:
        most = forgetting_max(other)
    except Undefined as undefined:
        raise Undefined(f"of the naive run: {undefined}") from None
    if most <= 0:
        raise Undefined("the naive run forgets nothing")
    return own / most
