"""The section of what accuracy costs: a Pareto front for each cost."""

from __future__ import annotations

from typing import Any, Literal

from clrun.metrics.pareto import front
from clrun.metrics.table import all_metrics
from clrun.records.costs import COSTS
from clrun.report import numbers
from clrun.report.environment import fragment
from clrun.report.page import Section
from clrun.report.scatter import Scatter, Spot
from clrun.report.sweep_view import SweepPoint, SweepView

FAR = 20.0
"""Costs that are so many times one another stand in powers of ten."""
KINDS: dict[str, Literal["count", "seconds", "bytes"]] = {"bytes": "bytes", "seconds": "seconds"}
WRITTEN = {"bytes": numbers.size, "macs": numbers.short, "seconds": numbers.seconds}
NOTES = {
    "bytes": "What is kept of past data from one experience to the next, in the end.",
    "macs": "Of all updates, with replayed rows; the forward passes of evaluation are not in it.",
    "seconds": "Of all phases of a run, on the machine as it was: what else ran there is in it.",
}


def fronts_section(view: SweepView) -> Section | None:
    """The section; None where no point has a number."""
    if not view.ranked:
        return None
    label = all_metrics()[view.metric].label if view.metric else "accuracy"
    html = fragment("sweep_fronts.html", fronts=[_front(view, key, label) for key in COSTS])
    return Section("fronts", "Accuracy and cost", html)


def _front(view: SweepView, key: str, label: str) -> dict[str, Any]:
    """A drawing with the table of its front, or why there is none."""
    known = [(p, cost) for p in view.ranked if (cost := p.cost(key)) is not None]
    kind, left_out = COSTS[key], len(view.ranked) - len(known)
    missing = f"{left_out} of {len(view.ranked)} points do not say it." if left_out else ""
    if len({each for _, each in known}) < 2:
        only = f"all have {WRITTEN[key](known[0][1])}" if known else "it is not known of any"
        return {"label": kind.label, "chart": None, "why": f"{only}. {missing}".strip()}
    best = front([cost for _, cost in known], [_mean(point) for point, _ in known])
    marks = {place: str(number) for number, place in enumerate(best, 1)}
    spots = [_spot(p, c, key, marks.get(at)) for at, (p, c) in enumerate(known)]
    costs = [each for _, each in known]
    chart = Scatter(
        id=f"front-{key}",
        title=f"{label[0].upper()}{label[1:]} against {kind.label}",
        summary=f"{len(best)} of {len(known)} points are on the front: no other is both cheaper "
        "and better.",
        spots=spots,
        x_label=kind.label,
        y_label=label,
        x_kind=KINDS.get(key, "count"),
        is_log=min(costs) > 0 and max(costs) > FAR * min(costs),
        note=f"{NOTES[key]} {missing}".strip(),
    )
    rows = [(marks[at], known[at][0], WRITTEN[key](known[at][1])) for at in best]
    return {"label": kind.label, "chart": chart, "rows": rows, "keys": view.keys, "metric": label}


def _spot(point: SweepPoint, cost: float, key: str, mark: str | None) -> Spot:
    spread = point.spread
    half = None if spread is None else spread.half_width
    mean = _mean(point)
    return Spot(
        name=f"{point.name}: {numbers.decimal(mean, 4)}, {WRITTEN[key](cost)}",
        x=cost,
        y=mean,
        low=None if half is None else mean - half,
        high=None if half is None else mean + half,
        label=mark or "",
        is_front=mark is not None,
    )


def _mean(point: SweepPoint) -> float:
    assert point.spread is not None, point.name
    return point.spread.mean
