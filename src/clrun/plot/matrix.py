"""The accuracy matrix as a heat map with its values: one panel for each method."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from clrun.plot.looks import COLUMN, HEAT, INK, NOTHING, shown

MOST_NUMBERED = 12
"""With more experiences than this the values have no room in the cells."""
MOST_ACROSS = 3
"""Panels side by side."""
LETTERS = 19
"""Letters of a title that an inch holds."""
LEFT, BETWEEN, RIGHT, TOP, BOTTOM = 0.42, 0.3, 0.55, 0.22, 0.4
"""Inches around the panels."""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A matrix, the mean over the runs of a method."""

    title: str
    mean: NDArray[np.float64]
    """[trained on, tested on]; NaN where it was not measured"""
    half: NDArray[np.float64] | None
    """half of its 95 % interval; None of one run alone"""


def draw(panels: Sequence[Panel], width: float = COLUMN) -> Figure:
    """The matrices with one scale of colours, from 0 to 1."""
    across = min(len(panels), MOST_ACROSS)
    down = math.ceil(len(panels) / across)
    side = (width - LEFT - RIGHT - BETWEEN * (across - 1)) / across
    rows = max(panel.mean.shape[0] / max(panel.mean.shape[1], 1) for panel in panels)
    tall = max(min(rows, 1.5) * side, 0.3)
    height = down * (tall + TOP + BOTTOM)
    figure = Figure(figsize=(width, height), facecolor="white")
    for number, panel in enumerate(panels):
        row, column = divmod(number, across)
        left, top = LEFT + column * (side + BETWEEN), TOP + row * (tall + TOP + BOTTOM)
        box = (left / width, 1 - (top + tall) / height, side / width, tall / height)
        _panel(figure.add_axes(box), panel, side, is_first=column == 0)
    right = LEFT + across * side + (across - 1) * BETWEEN
    _scale(figure, (right + 0.1) / width, 1 - (TOP + tall) / height, tall / height, width)
    return figure


def _panel(axes: Axes, panel: Panel, side: float, *, is_first: bool) -> None:
    axes.grid(visible=False)
    axes.set_facecolor(NOTHING)
    seen = np.ma.masked_invalid(panel.mean)
    axes.imshow(seen, cmap=HEAT, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    rows, columns = panel.mean.shape
    for axis, count in ((axes.xaxis, columns), (axes.yaxis, rows)):
        if count <= MOST_NUMBERED:
            axis.set_ticks(range(count), [str(k + 1) for k in range(count)])
        else:
            axis.set_major_locator(MaxNLocator(nbins=5, integer=True))
            axis.set_major_formatter(lambda value, _: f"{value + 1:.0f}")
    if len(panel.mean) == 1 < columns:
        axes.set_yticks([0], ["all"])
    axes.tick_params(length=0, pad=2)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("tested on experience", labelpad=2)
    if is_first:
        axes.set_ylabel("after learning", labelpad=2)
    title = shown(panel.title, int(LETTERS * side) + 8)
    axes.set_title(title, pad=3)
    if columns <= MOST_NUMBERED:
        _values(axes, panel, side / columns)


def _values(axes: Axes, panel: Panel, cell: float) -> None:
    """The value in each cell, and half its interval below where there is room."""
    size = min(6.5, 72 * cell / 3.2)
    has_room = panel.half is not None and size >= 4.5
    for i, j in np.argwhere(np.isfinite(panel.mean)):
        value = panel.mean[i, j]
        said = f"{value:.2f}".replace("0.", ".", 1) if value < 0.995 else "1.0"
        if has_room and panel.half is not None:
            said += f"\n±{panel.half[i, j]:.2f}".replace("±0.", "±.")
        ink = "white" if value > 0.55 else INK
        axes.text(j, i, said, ha="center", va="center", size=size, color=ink, linespacing=1.0)


def _scale(figure: Figure, left: float, bottom: float, height: float, width: float) -> None:
    """The bar of colours beside the panels."""
    axes = figure.add_axes((left, bottom, 0.07 / width, height))
    bar = figure.colorbar(ScalarMappable(Normalize(0, 1), HEAT), cax=axes, ticks=[0, 0.5, 1])
    bar.outline.set_visible(False)
    axes.grid(visible=False)
    axes.tick_params(length=0, pad=2)
    axes.set_ylabel("accuracy", labelpad=1)
