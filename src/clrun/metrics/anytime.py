"""Accuracy at any time: metrics over every evaluation, also those inside an experience.

Their values depend on how often the model was evaluated; compare only runs with one cadence.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from clrun.metrics.matrix import Floats
from clrun.metrics.undefined import Undefined

Evaluation = tuple[int, ArrayLike]
"""(experience being learned or just learned, accuracy on each experience), in order of time."""


def aaa(evaluations: Sequence[Evaluation]) -> float:
    """Average anytime accuracy: 1/n sum_{t<=n} (1/k(t)) sum_{j<=k(t)} A(E_j, f_t).

    As in Soutif-Cormerais et al. 2023 (https://arxiv.org/abs/2308.10328). k(t) experiences had
    begun at evaluation t; all evaluations weigh the same.
    """
    if not evaluations:
        raise Undefined("nothing was evaluated")
    return float(np.mean([so_far(index, accuracies).mean() for index, accuracies in evaluations]))


def min_acc(evaluations: Sequence[Evaluation]) -> float:
    """min-ACC_k = 1/(k-1) sum_{j<k} min_{n>|T_j|} A(E_j, f_n): the worst since it was learned.

    De Lange et al. 2023 (https://arxiv.org/abs/2205.13452). Evaluations up to the end
    of learning experience j do not count for j, and the current experience k not at all.
    """
    if not evaluations:
        raise Undefined("nothing was evaluated")
    current = evaluations[-1][0]
    if current < 1:
        raise Undefined("needs at least 2 experiences: there is 1")
    lowest = np.full(current, np.inf)
    for index, accuracies in evaluations:
        earlier = min(index, current)
        np.minimum(lowest[:earlier], so_far(index, accuracies)[:earlier], out=lowest[:earlier])
    return float(lowest.mean())


def wc_acc(evaluations: Sequence[Evaluation]) -> float:
    """WC-ACC_t = (1/k) A(E_k, f_t) + (1 - 1/k) min-ACC_k: worst-case accuracy.

    De Lange et al. 2023 (https://arxiv.org/abs/2205.13452).
    """
    worst = min_acc(evaluations)
    k = evaluations[-1][0] + 1
    newest = float(so_far(*evaluations[-1])[-1])
    return newest / k + (1 - 1 / k) * worst


def so_far(index: int, accuracies: ArrayLike) -> Floats:
    """The accuracies on experiences 0 to `index`."""
    values = np.asarray(accuracies, dtype=np.float64)[: index + 1]
    assert values.size == index + 1, f"{values.size} accuracies during experience {index}"
    for j in np.flatnonzero(np.isnan(values))[:1]:
        raise Undefined(f"accuracy on experience {j} was not measured during experience {index}")
    return values
