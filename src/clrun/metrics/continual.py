"""Continual evaluation: what happens to accuracies inside an experience, between two evaluations.

De Lange et al. 2023 (https://arxiv.org/abs/2205.13452). All of it depends on how often the model
was evaluated: compare only runs with one cadence. An experience counts from when it began.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clrun.metrics.anytime import Evaluation, so_far
from clrun.metrics.matrix import Floats
from clrun.metrics.undefined import Undefined

ENTRIES = 2**22
"""Accuracies looked at together: 32 MB."""


def windowed_forgetting(evaluations: Sequence[Evaluation], window: int) -> float:
    """WF^w = 1/T sum_j max_{m <= n < m + w} (A(E_j, f_m) - A(E_j, f_n)): the worst drop.

    Counted over `window` consecutive evaluations, both ends included.
    """
    return _largest_change(evaluations, window, sign=1)


def windowed_plasticity(evaluations: Sequence[Evaluation], window: int) -> float:
    """WP^w = 1/T sum_j max_{m <= n < m + w} (A(E_j, f_n) - A(E_j, f_m)): the best rise.

    What was gained before the first evaluation of an experience is not in it.
    """
    return _largest_change(evaluations, window, sign=-1)


class Gap(NamedTuple):
    """What learning experience `experience` did on the way to those before it: [experience]."""

    experience: int
    depth: Floats
    """A(E_j, f_{|T_{k-1}|}) - min_{n in T_k} A(E_j, f_n); negative where it only ever rose"""
    recovery: NDArray[np.int64]
    """updates from the switch until, after its lowest point, E_j was where it was before or, if
    that is lower, where it is at the end of experience k; 0 where it never was below both"""


def gaps(
    evaluations: Sequence[Evaluation], ends: Sequence[bool], iterations: Sequence[int]
) -> list[Gap]:
    """The stability gap at each switch to another experience.

    `ends[t]`: evaluation t is of the end of its experience; `iterations[t]`: updates before it.

    Raises:
        Undefined: there was no switch, or no evaluation at an experience's end.
    """
    if not evaluations:
        raise Undefined("nothing was evaluated")
    last = evaluations[-1][0]
    if last < 1:
        raise Undefined("needs at least 2 experiences: there is 1")
    during: list[list[int]] = [[] for _ in range(last + 1)]
    for place, (index, _) in enumerate(evaluations):
        during[index].append(place)
    for index, places in enumerate(during):
        if not places or not ends[places[-1]]:
            raise Undefined(f"accuracies after experience {index} were not measured")
    return [
        _gap(evaluations, np.asarray(iterations), during[k - 1][-1], during[k])
        for k in range(1, last + 1)
    ]


def stability_gap(found: Sequence[Gap]) -> float:
    """1/(T-1) sum_k 1/(k-1) sum_{j<k} (A(E_j, f_{|T_{k-1}|}) - min_{n in T_k} A(E_j, f_n)).

    The mean depth over the experiences before each switch, then over switches.
    """
    return float(np.mean([gap.depth.mean() for gap in found]))


def gap_recovery(found: Sequence[Gap]) -> float:
    """The mean recovery, in updates, over the experiences before each switch, then over switches.

    It is known to the next evaluation. An experience that stays forgotten has recovered when it is
    where it ends: what is lost for good is forgetting, and no gap.
    """
    return float(np.mean([gap.recovery.mean() for gap in found]))


def _gap(
    evaluations: Sequence[Evaluation],
    iterations: NDArray[np.int64],
    before: int,
    places: Sequence[int],
) -> Gap:
    k = evaluations[places[0]][0]
    then = so_far(*evaluations[before])
    curves = np.array([so_far(*evaluations[place])[:k] for place in places])
    lowest, goal = curves.argmin(0), np.minimum(then, curves[-1])
    is_back = (curves >= goal) & (np.arange(len(places))[:, None] >= lowest)
    updates = iterations[np.asarray(places)[is_back.argmax(0)]] - iterations[before]
    low = curves.min(0)
    return Gap(k, then - low, np.where(low < goal, updates, 0))


def _largest_change(evaluations: Sequence[Evaluation], window: int, *, sign: int) -> float:
    assert window > 1, f"no change inside {window} evaluation"
    if not evaluations:
        raise Undefined("nothing was evaluated")
    experiences, largest = evaluations[-1][0] + 1, []
    width = max(1, ENTRIES // len(evaluations))
    for first in range(0, experiences, width):
        curves = sign * _curves(evaluations, first, min(first + width, experiences))
        largest.append(np.nanmax(_highest_of_late(curves, window) - curves, axis=0))
    return float(np.concatenate(largest).mean())


def _curves(evaluations: Sequence[Evaluation], first: int, end: int) -> Floats:
    """[evaluations, end - first]: NaN before an experience began to be learnt."""
    curves = np.full((len(evaluations), end - first), np.nan)
    for place, evaluation in enumerate(evaluations):
        known = so_far(*evaluation)[first:end]
        curves[place, : len(known)] = known
    return curves


def _highest_of_late(curves: Floats, window: int) -> Floats:
    """The highest of each value and the `window` - 1 before it, in log(window) passes."""
    size, highest = 1, curves
    while size < window:
        step = min(size, window - size)
        longer = highest.copy()
        longer[step:] = np.fmax(highest[step:], highest[:-step])  # of `size` + `step`
        highest, size = longer, size + step
    return highest
