"""The section of the stability gap: how far learning throws back what was learnt before."""

from __future__ import annotations

from clrun.metrics import Measurements, Undefined, gaps
from clrun.metrics.continual import Gap
from clrun.records.past_run import PastRun
from clrun.report.environment import fragment
from clrun.report.heat import Cell, HeatMap
from clrun.report.page import Section
from clrun.report.run_matrix import shown


def gap_section(run: PastRun) -> Section | None:
    """The section; None of a run that was evaluated at the ends of experiences alone."""
    found = _gaps(run.measured.measurements)
    if not found:
        return None
    html = fragment(
        "run_gap.html",
        map=_heat_map(found),
        depth=run.metrics.get("stability_gap"),
        recovery=run.metrics.get("gap_recovery"),
        minimum=run.metrics.get("min_acc"),
        worst=run.metrics.get("wc_acc"),
        final=run.metrics.get("acc_final"),
    )
    return Section("stability-gap", "Stability gap", html)


def _gaps(measured: Measurements) -> list[Gap]:
    if measured.ends is None or measured.iterations is None or all(measured.ends):
        return []
    try:
        return gaps(measured.evaluations, measured.ends, measured.iterations)
    except Undefined:
        return []


def _heat_map(found: list[Gap]) -> HeatMap:
    rows = [found[place] for place in shown(len(found))]
    columns = shown(max(len(gap.depth) for gap in found))
    return HeatMap(
        id="gaps",
        caption="The deepest drop below where an experience was before the switch",
        row_label="while learning",
        column_label="on experience",
        row_names=[str(gap.experience + 1) for gap in rows],
        column_names=[str(j + 1) for j in columns],
        cells=[[_cell(gap, j) for j in columns] for gap in rows],
        shade="change",
        is_lower_better=True,
        is_signed=False,
        digits=3 if len(columns) <= 6 else 2,
    )


def _cell(gap: Gap, j: int) -> Cell:
    if j >= len(gap.depth):
        return Cell(None)
    depth, updates = float(gap.depth[j]), int(gap.recovery[j])
    back = f"back after {updates:,} updates" if updates else "never below"
    title = f"experience {j + 1} while {gap.experience + 1} is learnt: {depth:.4f} down, {back}"
    return Cell(depth, title)
