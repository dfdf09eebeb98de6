"""Methods that spent unlike amounts, each by the best that it reached within what all spent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from clrun.compare.methods import Method, MethodRun, Start
from clrun.metrics import Reached, Undefined, at_equal_cost, common_budget
from clrun.records.reached import Axis, kept_bytes, reached

AXES: Mapping[Axis, str] = {
    "train_macs": "multiply-accumulates of training",
    "patterns_seen": "rows learnt from",
    "seconds": "seconds",
}
BYTES = "bytes kept: rows, parameters and statistics"


@dataclass(frozen=True, kw_only=True)
class EqualCost:
    """The methods within one budget."""

    cost: str
    """what is spent"""
    budget: float
    """the mean over the starts that all methods have"""
    accuracy: Mapping[str, float]
    """method -> the mean over these starts of the best mean accuracy that it reached"""
    n: int
    """starts"""


def equal_costs(methods: Sequence[Method]) -> list[EqualCost]:
    """One for each cost that is known of all methods: for each start that they share, the budget is
    what every one has spent. What a method spends in evaluations is a point each; of the bytes that
    it keeps, a run each, so that methods of one size each have a value there if it is the same.
    """
    by_axis = [_equal(methods, cost, axis) for axis, cost in AXES.items()]
    return [found for found in (*by_axis, _equal(methods, BYTES, None)) if found is not None]


def _equal(methods: Sequence[Method], cost: str, axis: Axis | None) -> EqualCost | None:
    budgets: list[float] = []
    values: dict[str, list[float]] = {method.name: [] for method in methods}
    for start in sorted(set.intersection(*(set(method.starts) for method in methods))):
        points = {method.name: _points(method, start, axis) for method in methods}
        try:
            best = at_equal_cost(points)
        except Undefined:
            continue
        budgets.append(common_budget(points))
        for name, point in best.items():
            values[name].append(point.value)
    if not budgets:
        return None
    means = {name: fmean(found) for name, found in values.items()}
    return EqualCost(cost=cost, budget=fmean(budgets), accuracy=means, n=len(budgets))


def _points(method: Method, start: Start, axis: Axis | None) -> list[Reached]:
    runs = [run for run in method.completed if run.start == start]
    return [point for run in runs for point in _points_of(run, axis)]


def _points_of(run: MethodRun, axis: Axis | None) -> list[Reached]:
    assert run.past is not None, "it is completed"
    if axis is not None:
        return reached(run.past, axis)
    size, value = kept_bytes(run.past), run.value("acc_final")
    return [] if size is None or value is None else [Reached(size, value)]
