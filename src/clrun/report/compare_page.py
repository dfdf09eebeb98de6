"""The page of a comparison: the verdict, what it rests on, and what tells the methods apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from clrun.compare.compared import Compared
from clrun.compare.equal_cost import equal_costs
from clrun.compare.judged import Duel
from clrun.compare.shown import caption
from clrun.metrics.table import all_metrics
from clrun.records.alike import mean_of
from clrun.records.costs import COSTS
from clrun.report import numbers
from clrun.report.compare_view import Side, sides
from clrun.report.environment import fragment
from clrun.report.heat import Cell, HeatMap
from clrun.report.intervals_chart import Bracket, Brackets
from clrun.report.page import Banner, Page, Section
from clrun.report.run_matrix import shown
from clrun.report.run_numbers import definitions_section
from clrun.report.said import listed
from clrun.report.strips import Dot, Strip
from clrun.report.sweep_curves import MOST_CURVES, so_far_section
from clrun.report.sweep_fronts import fronts_section
from clrun.report.sweep_page import methods_section

MOST_MAPS = 4
"""Duels whose matrices are shown as a difference, those first that differ most."""


def compare_page(found: Compared) -> Page:
    """All that is to be said of methods side by side."""
    every = sides(found)
    able = [side for side in every if side.spread is not None]
    label = found.metric.label
    ordered = sorted(able, key=lambda side: side.mean, reverse=found.metric.better == "higher")
    done = [side.runs for side in every if side.runs.runs]
    curves = [side.runs for side in ordered][:MOST_CURVES]
    note = f"The best {MOST_CURVES} of {len(able)}." if len(able) > MOST_CURVES else ""
    sections = (
        _methods_section(found, every, ordered),
        _differences_section(found),
        _others_section(found),
        so_far_section(curves, note),
        _matrices_section(found, every),
        fronts_section(able, {}, label) if found.metric.better == "higher" else None,
        _equal_section(found),
        _settings_section(every),
        _missing_section(found),
        methods_section(tuple(done)),
        definitions_section({key for side in done for run in side.runs for key in run.metrics}),
    )
    return Page(
        kind="comparison",
        title=listed([side.name for side in every]) if len(every) < 4 else f"{len(every)} methods",
        verdict=found.verdict,
        facts=list(_facts(found, every)),
        banners=list(_banners(found)),
        sections=[section for section in sections if section is not None],
    )


def _facts(found: Compared, every: Sequence[Side]) -> Iterator[tuple[str, str]]:
    yield "compared by", f"{found.metric.label}, {found.metric.better} is better"
    yield "methods", str(len(every))
    yield "pairs", ", ".join(dict.fromkeys(str(duel.comparison.n) for duel in found.duels))
    keys = dict.fromkeys(key for side in every for key in side.values)
    if keys:
        yield "told apart by", ", ".join(keys)
    if found.baseline is not None:
        yield "baseline", found.baseline


def _banners(found: Compared) -> Iterator[Banner]:
    for line in found.unlike[:1]:
        more = len(found.unlike) - 1
        rest = f" ({more} more under Missing)" if more else ""
        yield Banner("bad", f"Compared nevertheless: {line}{rest}")
    if found.missing:
        yield Banner("note", "Some runs are in no number; which, and why, stands under Missing.")


def _methods_section(found: Compared, every: Sequence[Side], ordered: Sequence[Side]) -> Section:
    """Each method, and each of its runs as a dot."""
    key, label = found.metric.key, found.metric.label
    best = ordered[0].name if ordered else ""
    means = ", ".join(f"{side.name} {numbers.decimal(side.mean)}" for side in ordered)
    strip = Strip(
        id="runs",
        title=f"{label[0].upper()}{label[1:]} of each seed",
        summary=f"Means: {means}.",
        x_label="method",
        y_label=label,
        names=[side.name for side in ordered],
        columns=[
            [
                Dot(f"{side.name}, {start}", value, side.name == best)
                for start, value in side.method.scores(key).items()
            ]
            for side in ordered
        ],
        is_ordered=False,
    )
    costs = [name for name in COSTS if any(side.cost(name) is not None for side in every)]
    starts = list(dict.fromkeys(start for s in every for start in s.method.scores(key)))
    html = fragment(
        "compare_methods.html",
        sides=every,
        best=best,
        label=label,
        costs=[(name, COSTS[name].short) for name in costs],
        strip=strip,
        starts=[(str(s), [side.method.scores(key).get(s) for side in every]) for s in starts],
    )
    return Section("methods-compared", "Methods", html)


def _differences_section(found: Compared) -> Section:
    """Each two methods: the difference, its interval, and how sure it is."""
    chart = Brackets(
        id="differences",
        caption=f"Differences in {found.metric.label}, {found.metric.better} is better",
        brackets=[
            Bracket(f"{d.a} less {d.b}", c.mean, c.low, c.high, c.is_shown)
            for d in found.duels
            for c in (d.comparison,)
        ],
    )
    html = fragment(
        "compare_differences.html", chart=chart, duels=found.duels, caption=caption(found)
    )
    return Section("differences", "Differences", html)


def _others_section(found: Compared) -> Section | None:
    """What the same methods come to by other metrics."""
    rows = [
        (metric, judged)
        for key, metric in all_metrics().items()
        if metric.in_end_table and key != found.metric.key
        if (judged := found.by(key)) is not None
    ]
    if not rows:
        return None
    html = fragment("compare_others.html", rows=rows)
    return Section("others", "Other metrics", html)


def _matrices_section(found: Compared, every: Sequence[Side]) -> Section | None:
    """The mean matrix of one method less that of another, for those that differ most."""
    by_name = {side.name: side for side in every}
    duels = sorted(found.duels, key=lambda duel: -abs(duel.comparison.mean))[:MOST_MAPS]
    maps = [m for duel in duels if (m := _difference(duel, by_name)) is not None]
    if not maps:
        return None
    html = fragment("compare_matrices.html", maps=maps, all_shown=len(maps) == len(found.duels))
    return Section("matrices", "Accuracy matrices", html)


def _difference(duel: Duel, by_name: dict[str, Side]) -> HeatMap | None:
    a, b = (_mean_matrix(by_name[name]) for name in (duel.a, duel.b))
    if a is None or b is None or a.shape != b.shape:
        return None
    down, across = shown(len(a)), shown(a.shape[1])
    return HeatMap(
        id=f"difference-{list(by_name).index(duel.a)}-{list(by_name).index(duel.b)}",
        caption=f"{duel.a} less {duel.b}",
        row_label="after",
        column_label="tested on experience",
        row_names=["all"] if len(a) == 1 < a.shape[1] else [str(i + 1) for i in down],
        column_names=[str(j + 1) for j in across],
        cells=[[_cell(a[i, j], b[i, j]) for j in across] for i in down],
        shade="change",
        digits=3 if len(across) <= 10 else 2,
    )


def _cell(a: float, b: float) -> Cell:
    if not np.isfinite(a - b):
        return Cell(None, "was not evaluated")
    return Cell(float(a - b), f"{numbers.decimal(a)} less {numbers.decimal(b)}")


def _mean_matrix(side: Side) -> np.ndarray | None:
    found = [np.asarray(run.measured.measurements.accuracy) for run in side.runs.done]
    able = [matrix for matrix in found if matrix.ndim == 2 and matrix.size]
    return mean_of(able).mean if able else None


def _equal_section(found: Compared) -> Section | None:
    """The methods within what all of them have spent."""
    rows = equal_costs(found.methods)
    if not rows:
        return None
    names = [method.name for method in found.methods]
    html = fragment("compare_equal.html", names=names, rows=rows)
    return Section("equal-cost", "At equal cost", html)


def _settings_section(every: Sequence[Side]) -> Section | None:
    """The keys that differ between the methods."""
    runs = [side.runs.runs[0] for side in every if side.runs.runs]
    names = [side.name for side in every if side.runs.runs]
    tables = [{**run.options, **run.values} for run in runs]
    keys = dict.fromkeys(key for table in tables for key in table)
    rows = [
        (key, [numbers.value(table[key]) if key in table else numbers.NONE for table in tables])
        for key in keys
        if not _is_same([table.get(key, _ABSENT) for table in tables]) and key != "seed"
    ]
    if not rows:
        return None
    html = fragment("compare_settings.html", names=names, rows=rows)
    return Section("configuration", "What differs", html)


_ABSENT = object()


def _is_same(values: Sequence[Any]) -> bool:
    return all(a == b for a, b in combinations(values, 2))


def _missing_section(found: Compared) -> Section | None:
    """Runs that are in no number, and what else is to be known."""
    if not found.missing and not found.notes and not found.unlike:
        return None
    html = fragment(
        "compare_missing.html", missing=found.missing, notes=found.notes, unlike=found.unlike
    )
    return Section("missing", "Missing", html)
