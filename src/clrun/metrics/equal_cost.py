"""Accuracy at the same cost: the best that was reached without spending more.

Nothing is interpolated: what was not evaluated was not reached. A cost may be anything that adds up
while a run goes on (multiply-accumulates, rows, updates, seconds), each evaluation a point; or what
a run needs as a whole (bytes that are kept), each run a point.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from clrun.metrics.undefined import Undefined


class Reached(NamedTuple):
    """An evaluation, and what had been spent until then."""

    cost: float
    value: float


def best_within(budget: float, points: Sequence[Reached]) -> Reached:
    """The highest value among the points that cost no more than the budget; of equal ones the
    cheapest.

    Raises:
        Undefined: nothing was evaluated so early.
    """
    within = [point for point in points if point.cost <= budget]
    if not within:
        raise Undefined(f"nothing was evaluated at a cost of at most {budget:,.0f}")
    return max(within, key=lambda point: (point.value, -point.cost))


def common_budget(methods: Mapping[str, Sequence[Reached]]) -> float:
    """What every method has spent: the least of their highest costs.

    Raises:
        Undefined: a method has no point.
    """
    for name, points in methods.items():
        if not points:
            raise Undefined(f"{name}: its cost is not known")
    if not methods:
        raise Undefined("there is nothing to compare")
    return min(max(point.cost for point in points) for points in methods.values())


def at_equal_cost(methods: Mapping[str, Sequence[Reached]]) -> dict[str, Reached]:
    """The best of each method within the budget that all of them have spent.

    Raises:
        Undefined: a method has no point, or none within that budget.
    """
    budget = common_budget(methods)
    return {name: best_within(budget, points) for name, points in methods.items()}
