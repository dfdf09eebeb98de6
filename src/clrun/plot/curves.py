"""Accuracy along the stream: a line for each method with its interval, or for each experience."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from clrun.plot.frame import columns_that_fit, framed, name_above
from clrun.plot.looks import COLUMN, colour, dashes, marker, shown

MOST_MARKED = 26
"""With more points than this a line has no marks."""
RATIO = 0.68
LONGEST_NAME = 60


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Values along the stream; NaN where there is none."""

    name: str
    x: NDArray[np.float64]
    mean: NDArray[np.float64]
    half: NDArray[np.float64] | None
    """half of its 95 % interval; None of one run alone"""
    is_main: bool = True
    """False: one of many lines behind the main one"""
    tone: str | None = None
    """its colour; None: that of its place"""


def draw(curves: Sequence[Curve], *, x_label: str, y_label: str, width: float = COLUMN) -> Figure:
    """The curves in one pair of axes, their names above."""
    columns = columns_that_fit([shown(curve.name, LONGEST_NAME) for curve in curves], width)
    lines = -(-len(curves) // columns) if len(curves) > 1 else 0
    figure, axes = framed(width, RATIO, above=lines)
    for number, curve in enumerate(curves):
        _line(axes, curve, number)
    axes.set_xlabel(x_label, labelpad=2)
    axes.set_ylabel(y_label, labelpad=2)
    axes.set_ylim(*_limits(curves))
    if all(np.all(curve.x == np.round(curve.x)) for curve in curves):
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    if lines:
        name_above(figure, axes, columns)
    return figure


def _line(axes: Axes, curve: Curve, number: int) -> None:
    """A line with its marks, and the band of its interval."""
    tone = curve.tone or colour(number)
    is_marked = (curve.is_main and len(curve.x) <= MOST_MARKED) or len(curve.x) == 1
    axes.plot(
        curve.x,
        curve.mean,
        color=tone,
        linestyle="-" if curve.tone else dashes(number),
        linewidth=1.3 if curve.is_main else 0.7,
        marker=marker(number) if is_marked else None,
        label=shown(curve.name, LONGEST_NAME),
        zorder=3 if curve.is_main else 2,
    )
    if curve.half is not None and len(curve.x) == 1:
        axes.errorbar(curve.x, curve.mean, yerr=curve.half, color=tone, capsize=2, linewidth=0.7)
    elif curve.half is not None:
        low, high = curve.mean - curve.half, curve.mean + curve.half
        axes.fill_between(curve.x, low, high, color=tone, alpha=0.18, linewidth=0, zorder=1)


def _limits(curves: Sequence[Curve]) -> tuple[float, float]:
    """From 0 to 1, or from where all curves are above half of it."""
    lowest = min(
        np.nanmin(curve.mean - (0 if curve.half is None else curve.half)) for curve in curves
    )
    return (-0.02 if lowest < 0.5 else float(np.floor(lowest * 20) / 20 - 0.01), 1.02)
