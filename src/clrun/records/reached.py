"""What a run had reached at what cost: the points that are compared at equal cost."""

from __future__ import annotations

from typing import Literal

from clrun.metrics import Reached
from clrun.records.past_run import Line, PastRun

Axis = Literal["iteration", "patterns_seen", "train_macs", "seconds"]
"""What a line of metrics.jsonl says of the cost until then."""


def reached(run: PastRun, axis: Axis) -> list[Reached]:
    """The mean accuracy over the experiences of the whole stream in each evaluation of all of them,
    those included that were not learnt yet: so runs that are at different places can be compared.

    Evaluations of some alone (`eval=seen`, `eval.subset`) are none of those, nor are they where the
    cost was not counted.
    """
    count = len(run.results.get("experiences") or ())
    points = (_point(line, axis, count) for line in run.lines("eval"))
    return [point for point in points if point is not None]


def kept_bytes(run: PastRun) -> int | None:
    """Rows, parameters and statistics that the run's method keeps; None where that is not known."""
    parts = run.cost.get("state_bytes")
    return sum(parts.values()) if parts else None


def _point(line: Line, axis: Axis, count: int) -> Reached | None:
    cost, accuracy = line.get(axis), line.get("accuracy")
    if (
        not isinstance(cost, int | float)
        or not accuracy
        or len(accuracy) < count
        or None in accuracy
    ):
        return None
    return Reached(cost, sum(accuracy) / len(accuracy))
