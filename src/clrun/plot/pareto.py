"""What accuracy costs: methods as points, and the front of those that none beats in both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from clrun.metrics.pareto import front
from clrun.plot.frame import LEGEND_LINE, columns_that_fit, framed, name_above
from clrun.plot.looks import COLUMN, FAINT, INK, colour, marker, shown

MOST_NAMED = 24
"""With more points than this those of the front alone have their names beside them."""
FAR = 20.0
"""Costs that are so many times one another stand on a logarithmic scale."""
LONGEST_NAME = 64
MOST_BESIDE = 16
"""Letters of a name that stands beside its point; longer ones stand below, with numbers."""
MOST_LISTED = 12
RATIO = 0.74


@dataclass(frozen=True, kw_only=True)
class Spot:
    """A method: what it costs and how good it is."""

    kind: str
    """what has one colour, such as a value of one of two keys; empty where all have"""
    name: str
    """what stands beside it"""
    cost: float
    accuracy: float
    half: float | None
    """half of the 95 % interval of the accuracy"""


def draw(
    spots: Sequence[Spot],
    *,
    cost: str,
    unit: str,
    accuracy: str,
    said: str = "",
    width: float = COLUMN,
) -> Figure:
    """The points, the line of the front below which nothing better is, and their names."""
    kinds = list(dict.fromkeys(spot.kind for spot in spots))
    best = front([spot.cost for spot in spots], [spot.accuracy for spot in spots])
    marks, below = _marks(spots, best)
    below += [said] if said else []
    across = columns_that_fit([shown(kind, LONGEST_NAME) for kind in kinds], width)
    lines = -(-len(kinds) // across) if len(kinds) > 1 else 0
    figure, axes = framed(width, RATIO, above=lines, below=len(below))
    _scale(axes, [spot.cost for spot in spots], unit)
    _front(axes, [spots[place] for place in best])
    for number, kind in enumerate(kinds):
        _spots(axes, [spot for spot in spots if spot.kind == kind], number)
    _names(axes, spots, marks, set(best))
    for number, line in enumerate(reversed(below)):
        bottom = (0.05 + LEGEND_LINE * number) / figure.get_figheight()
        figure.text(0.06 / width, bottom, line, size=6)
    axes.set_xlabel(cost, labelpad=2)
    axes.set_ylabel(accuracy, labelpad=2)
    if lines:
        name_above(figure, axes, across)
    return figure


def _front(axes: Axes, best: Sequence[Spot]) -> None:
    """Stairs: for so much cost there is this accuracy."""
    axes.step(
        [spot.cost for spot in best],
        [spot.accuracy for spot in best],
        where="post",
        color=FAINT,
        linewidth=0.9,
        linestyle=(0, (4, 2)),
        zorder=1,
    )


def _spots(axes: Axes, spots: Sequence[Spot], number: int) -> None:
    halves = [spot.half or 0.0 for spot in spots]
    axes.errorbar(
        [spot.cost for spot in spots],
        [spot.accuracy for spot in spots],
        yerr=halves if any(halves) else None,
        color=colour(number),
        marker=marker(number),
        linestyle="none",
        elinewidth=0.7,
        capsize=1.5,
        capthick=0.7,
        markersize=3.8,
        label=shown(spots[0].kind, LONGEST_NAME),
        zorder=3,
    )


def _names(axes: Axes, spots: Sequence[Spot], marks: Mapping[int, str], best: set[int]) -> None:
    """Names or numbers above and left of the points, where no front is; bold on the front."""
    low, high = axes.get_xlim()
    scale = axes.xaxis.get_transform()
    for place, mark in marks.items():
        left, here, right = scale.transform(np.array([low, spots[place].cost, high]))
        has_room = here - left > (0.014 * len(mark) + 0.02) * (right - left)
        axes.annotate(
            mark,
            (spots[place].cost, spots[place].accuracy),
            (-3, 3) if has_room else (3, 3),
            textcoords="offset points",
            ha="right" if has_room else "left",
            size=5.5,
            color=INK if place in best else FAINT,
            weight="bold" if place in best else "normal",
            zorder=4,
        )


def _marks(spots: Sequence[Spot], best: Sequence[int]) -> tuple[dict[int, str], list[str]]:
    """What stands beside each point, and the names below of those that have a number there."""
    names = [shown(spot.name, LONGEST_NAME) for spot in spots]
    if max(map(len, names)) <= MOST_BESIDE:
        places = range(len(spots)) if len(spots) <= MOST_NAMED else best
        return {place: names[place] for place in places}, []
    numbered = list(best)[:MOST_LISTED]
    marks = {place: str(number) for number, place in enumerate(numbered, 1)}
    lines = [f"{marks[place]}  {names[place]}" for place in numbered]
    more = len(best) - len(numbered)
    return marks, [*lines, *([f"and {more} more on the front"] if more else [])]


def _scale(axes: Axes, costs: Sequence[float], unit: str) -> None:
    """Costs in steps of ten where they are far apart, and their numbers with a prefix."""
    positive = [cost for cost in costs if cost > 0]
    if positive and max(costs) > FAR * min(positive):
        if min(costs) > 0:
            axes.set_xscale("log")
        else:
            axes.set_xscale("symlog", linthresh=min(positive))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: amount(value, unit)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(x=0.12, y=0.12)


PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def amount(value: float, unit: str) -> str:
    """A number with its unit, such as 6.9 MB."""
    for size, prefix in PREFIXES:
        if abs(value) >= size:
            return f"{value / size:.3g} {prefix}{unit}"
    return f"{value:.3g} {unit}".rstrip()
