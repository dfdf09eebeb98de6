"""The section of what the swept keys do: the response to each, two together, and all at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from statistics import fmean

from clrun.records.costs import COSTS
from clrun.report import numbers
from clrun.report.environment import fragment
from clrun.report.heat import Cell, HeatMap
from clrun.report.page import Section
from clrun.report.parallel import SHADES, Parallel, Thread, Upright
from clrun.report.run_matrix import shown
from clrun.report.strips import Dot, Strip
from clrun.report.svg import Tick, percent
from clrun.report.sweep_fronts import WRITTEN
from clrun.report.sweep_view import SweepPoint, SweepView

MOST_MAPS = 3
"""Pairs of keys that have a heat map, those first that change most."""
MOST_VALUES = 24
MOST_THREADS = 300
"""With more points than this the best are drawn."""


def keys_section(view: SweepView) -> Section | None:
    """The section; None where no key has two values."""
    keys = [key for key in view.keys if len(view.values(key)) > 1]
    if not keys:
        return None
    label = view.label
    html = fragment(
        "sweep_keys.html",
        strips=[_strip(view, key, label) for key in keys],
        maps=[_map(view, *pair, label) for pair in _pairs(view, keys)],
        pairs=len(keys) * (len(keys) - 1) // 2,
        threads=_parallel(view, keys, label) if len(view.ranked) > 1 else None,
        count=len(view.ranked),
    )
    return Section("keys", "Keys", html)


def _strip(view: SweepView, key: str, label: str) -> Strip:
    names = [view.values(key)[place] for place in shown(len(view.values(key)), MOST_VALUES)]
    columns = [
        [Dot(p.name, p.mean, p.is_best) for p in view.ranked if p.values.get(key) == name]
        for name in names
    ]
    means = [fmean(dot.value for dot in column) for column in columns]
    low, high = min(means), max(means)
    return Strip(
        id=f"key-{list(view.keys).index(key)}",
        title=f"Response to {view.keys[key]}",
        summary=f"On average over the points {numbers.decimal(low)} at "
        f"{names[means.index(low)]} to {numbers.decimal(high)} at {names[means.index(high)]}.",
        x_label=key,
        y_label=label,
        names=names,
        columns=columns,
        is_ordered=all(map(_is_number, names)),
    )


def _is_number(name: str) -> bool:
    """Whether a value has a place between others, so that a line may lead there."""
    try:
        float(name)
    except ValueError:
        return False
    return True


def _pairs(view: SweepView, keys: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of keys, those first whose values change the mean most."""

    def change(key: str) -> float:
        means = [
            fmean(p.mean for p in view.ranked if p.values.get(key) == value)
            for value in view.values(key)
        ]
        return max(means) - min(means)

    ordered = sorted(keys, key=change, reverse=True)
    return list(combinations(ordered, 2))[:MOST_MAPS]


def _map(view: SweepView, down: str, across: str, label: str) -> HeatMap:
    rows, columns = (
        [view.values(key)[place] for place in shown(len(view.values(key)), MOST_VALUES)]
        for key in (down, across)
    )

    def cell(row: str, column: str) -> Cell:
        found = [
            p for p in view.ranked if p.values.get(down) == row and p.values.get(across) == column
        ]
        if not found:
            return Cell(None, "no point has a number")
        means = [point.mean for point in found]
        which = found[0].name if len(found) == 1 else f"{len(found)} points, best {max(means):.4f}"
        return Cell(fmean(means), which, any(point.is_best for point in found))

    return HeatMap(
        id=f"map-{list(view.keys).index(down)}-{list(view.keys).index(across)}",
        caption=f"{label} by {view.keys[down]} and {view.keys[across]}",
        row_label=view.keys[down],
        column_label=view.keys[across],
        row_names=rows,
        column_names=columns,
        cells=[[cell(row, column) for column in columns] for row in rows],
        shade="range",
    )


def _parallel(view: SweepView, keys: Sequence[str], label: str) -> Parallel:
    """The points as threads, the weaker the worse."""
    points = view.ranked[:MOST_THREADS]
    costs = [key for key in COSTS if len({point.cost(key) for point in points} - {None}) > 1]
    axes = [
        *(Upright(view.keys[key], _value_ticks(view, key)) for key in keys),
        *(Upright(COSTS[key].short, _ends([p.cost(key) for p in points], key)) for key in costs),
        Upright(label, _ends([point.mean for point in points])),
    ]
    threads = [
        Thread(
            name=f"{point.name}: {numbers.decimal(point.mean, 4)}",
            places=list(_places(view, point, points, keys, costs)),
            shade=SHADES - 1 - rank * SHADES // len(points),
        )
        for rank, point in enumerate(points)
    ]
    best = points[0]
    return Parallel(
        id="all-keys",
        title="All points at once",
        summary=f"Each line is a point; the best is {best.name}.",
        axes=axes,
        threads=threads[::-1],
    )


def _places(
    view: SweepView,
    point: SweepPoint,
    points: Sequence[SweepPoint],
    keys: Sequence[str],
    costs: Sequence[str],
) -> Iterator[float | None]:
    """Where a point is on each axis, in percent."""
    for key in keys:
        values = view.values(key)
        value = point.values.get(key)
        yield None if value is None else values.index(value) / (len(values) - 1) * 100
    for key in costs:
        yield _share(point.cost(key), [each.cost(key) for each in points])
    yield _share(point.mean, [each.mean for each in points])


def _share(value: float | None, values: Sequence[float | None]) -> float | None:
    known = [each for each in values if each is not None]
    low, high = min(known), max(known)
    if value is None:
        return None
    return 50.0 if low == high else percent(value, low, high)


def _value_ticks(view: SweepView, key: str) -> list[Tick]:
    values = view.values(key)
    return [
        Tick(place / (len(values) - 1) * 100, values[place])
        for place in shown(len(values), MOST_VALUES // 2)
    ]


def _ends(values: Sequence[float | None], cost: str = "") -> list[Tick]:
    """The lowest and the highest of some numbers."""
    known = [value for value in values if value is not None]
    write = WRITTEN.get(cost, numbers.decimal)
    low, high = min(known), max(known)
    if low == high:
        return [Tick(50.0, write(low))]
    return [Tick(0.0, write(low)), Tick(100.0, write(high))]
