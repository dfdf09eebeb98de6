"""The section of a sweep's points: the best first, with what cannot be told from it."""

from __future__ import annotations

from typing import Any

from clrun.console.sweep_table import best_lines
from clrun.metrics.table import all_metrics
from clrun.records.costs import COSTS
from clrun.report.environment import fragment
from clrun.report.page import Section
from clrun.report.sweep_view import SweepPoint, SweepView

MOST_ROWS = 300
"""With more points than this the best are shown; sweep.csv has every job."""
BESIDE = ("aia", "forgetting_max")
"""Metrics beside the headline one, where any point has them."""


def points_section(view: SweepView) -> Section:
    """The table, and how sure its order is."""
    metrics = [key for key in BESIDE if any(p.point.spread(key) for p in view.points)]
    costs = [key for key in COSTS if any(point.cost(key) is not None for point in view.points)]
    html = fragment(
        "sweep_points.html",
        keys=view.keys,
        headline=all_metrics()[view.metric] if view.metric else None,
        metrics=[all_metrics()[key] for key in metrics],
        costs=[(key, COSTS[key]) for key in costs],
        rows=[_row(point, metrics, costs) for point in view.points[:MOST_ROWS]],
        count=len(view.points),
        has_spread=any(p.spread is not None and p.spread.n > 1 for p in view.points),
        best_lines=best_lines(view.best)[1:],
        is_told=view.best is not None,
    )
    return Section("points", "Points", html)


def _row(point: SweepPoint, metrics: list[str], costs: list[str]) -> dict[str, Any]:
    return {
        "point": point,
        "done": len(point.done),
        "jobs": len(point.rows),
        "spread": point.spread,
        "metrics": [point.point.spread(key) for key in metrics],
        "costs": [(key, point.cost(key)) for key in costs],
    }
