"""A pair of axes with room for lines of names above and below, in inches."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from clrun.plot.looks import COLUMN

LEFT, RIGHT, TOP, BOTTOM = 0.46, 0.1, 0.06, 0.38
WIDEST = 1.4 * COLUMN
"""What is wider is not higher: a page has not the room."""
LEGEND_LINE = 0.135


def framed(width: float, ratio: float, *, above: int = 0, below: int = 0) -> tuple[Figure, Axes]:
    """A figure and its axes, so much less high than wide, between so many lines of names."""
    inner = ratio * min(width, WIDEST)
    bottom, top = BOTTOM + LEGEND_LINE * below, TOP + LEGEND_LINE * above
    height = inner + bottom + top
    figure = Figure(figsize=(width, height), facecolor="white")
    box = (LEFT / width, bottom / height, 1 - (LEFT + RIGHT) / width, inner / height)
    return figure, figure.add_axes(box)


def columns_that_fit(names: Sequence[str], width: float) -> int:
    """How many names fit side by side above the axes."""
    each = 0.42 + 0.052 * max(map(len, names))
    return max(1, min(len(names), int((width - LEFT - RIGHT) / each)))


def name_above(figure: Figure, axes: Axes, columns: int) -> None:
    """The names of what is drawn, in so many columns above the axes."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="upper left",
        bbox_to_anchor=(LEFT / figure.get_figwidth(), 1 - TOP / 2 / figure.get_figheight()),
        ncols=columns,
        borderaxespad=0.0,
        borderpad=0.0,
        labelspacing=0.25,
        columnspacing=1.0,
        handlelength=2.2,
        handletextpad=0.4,
    )
