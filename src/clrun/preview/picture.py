"""A preview as a picture: how many rows of each class each experience has, and sample images.

Only matplotlib's figures are used, never pyplot: nothing global is touched and no screen is needed.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from textwrap import shorten
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from clrun.disk.files import write_bytes
from clrun.preview.facts import Preview
from clrun.preview.layout import Box, Layout, layout, shortened
from clrun.preview.samples import Samples, samples
from clrun.preview.table import headline, update_line

DPI = 128
INK, FAINT, NONE = "#24292f", "#57606a", "#f1f3f5"
COLOURS = LinearSegmentedColormap.from_list("counts", ["#d6e6f7", "#6ea8d8", "#1f5a94"])
STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib, so pictures are alike everywhere
    "font.size": 8,
    "text.parse_math": False,  # a class may be called $x$
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
}


def write_picture(path: Path, preview: Preview) -> None:
    """Draw the preview into a PNG, which appears whole or not at all.

    Raises:
        StorageError: the disk is full, read-only or broken.
    """
    buffer = BytesIO()
    with matplotlib.rc_context(_style()):
        figure = draw(preview)
        figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    write_bytes(path, buffer.getvalue())


def _style() -> dict[Any, Any]:
    """Matplotlib's own looks with ours, whatever a matplotlibrc file says."""
    own = matplotlib.rcParamsDefault.items()
    return {key: value for key, value in own if not key.startswith("backend")} | STYLE  # no pyplot


def draw(preview: Preview) -> Figure:
    """The heat map of counts above columns of sample images."""
    places = layout(preview)
    figure = Figure(figsize=(places.width, places.height), facecolor="white")
    _headings(figure, preview, places)
    _heat_map(figure, preview, places)
    shown = samples(preview.stream, list(places.shown), places.across * places.rows)
    _thumbnails(figure.add_axes(places.thumbnails()), shown, places)
    return figure


def _headings(figure: Figure, preview: Preview, places: Layout) -> None:
    """The command that names the stream, then what is in it and what training takes."""
    left, title = places.left / places.width, _cut(preview.title, places.title_characters)
    size = places.title_size(len(title))
    figure.text(left, 1 - 0.13 / places.height, title, va="top", weight="bold", size=size)
    for number, line in enumerate((headline(preview), update_line(preview)), 1):
        top = 1 - (0.13 + 0.2 * number) / places.height
        figure.text(left, top, _cut(line, places.characters), va="top", color=FAINT)


def _cut(line: str, characters: int) -> str:
    return shorten(line, characters, placeholder=" ...")


def _heat_map(figure: Figure, preview: Preview, places: Layout) -> None:
    """Experiences from left to right, classes from top to bottom, counts as colour."""
    counts = preview.counts().T.numpy()
    axes = figure.add_axes(places.heat_map())
    axes.set_facecolor(NONE)
    seen = np.ma.masked_equal(counts, 0)
    norm = PowerNorm(0.5, vmin=0, vmax=counts.max())  # few rows stay visible beside many
    image = axes.imshow(seen, cmap=COLOURS, norm=norm, aspect="auto", interpolation="nearest")
    _label_axes(axes, preview, places)
    if places.has_numbers:
        _write_numbers(axes, counts)
    else:
        ticks = MaxNLocator(nbins=4, integer=True)
        bar = figure.colorbar(
            image, cax=figure.add_axes(places.colour_bar()), ticks=ticks, format="{x:,.0f}"
        )
        bar.set_label("training images of a class")
        bar.outline.set_visible(False)


def _label_axes(axes: Axes, preview: Preview, places: Layout) -> None:
    number, classes = len(preview.experiences), preview.shape.num_classes
    ticks = range(number) if places.is_aligned else places.shown
    axes.set_xticks(list(ticks), [f"{index + 1:,}" for index in ticks])
    axes.set_xlabel("experience", labelpad=2)
    if places.has_class_names:
        axes.set_yticks(range(classes), [shortened(name) for name in preview.stream.class_names])
    else:
        axes.set_ylabel("class")
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.tick_params(length=0, pad=3)
    axes.spines[:].set_visible(False)
    if places.has_numbers:
        axes.set_xticks(np.arange(number - 1) + 0.5, minor=True)
        axes.set_yticks(np.arange(classes - 1) + 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=1.5)
        axes.tick_params(which="minor", length=0)


def _write_numbers(axes: Axes, counts: np.ndarray) -> None:
    """The count in each cell that has one, light on dark."""
    dark = counts > 0.3 * counts.max()
    for label, index in zip(*counts.nonzero(), strict=True):
        axes.text(
            index,
            label,
            f"{counts[label, index]:,}",
            ha="center",
            va="center",
            size=7,
            color="white" if dark[label, index] else INK,
        )


def _thumbnails(axes: Axes, shown: list[Samples], places: Layout) -> None:
    """A block of images for each experience shown, its middle where the layout says."""
    for column, (middle, found) in enumerate(zip(places.middles, shown, strict=True)):
        first = middle - places.across * places.step / 2
        for number, image in enumerate(found.images.numpy()):
            row, place = divmod(number, places.across)
            left, top = first + place * places.step, row * places.step
            axes.imshow(
                image,
                cmap="gray",
                vmin=0,
                vmax=255,
                extent=_box(left, top, image.shape[0], image.shape[1], places.thumbnail),
                interpolation="nearest",
            )
        if not places.is_aligned:
            label = f"{places.shown[column] + 1:,}"
            axes.text(middle, -0.06, label, ha="center", va="bottom", color=FAINT)
    axes.set_xlim(0, places.inner)
    axes.set_ylim(places.rows * places.step, 0)
    axes.set_aspect("auto")
    axes.set_axis_off()


def _box(left: float, top: float, height: int, width: int, side: float) -> Box:
    """An image in the middle of a square of this side, its proportions kept."""
    high, wide = side * min(1, height / width), side * min(1, width / height)
    left, top = left + (side - wide) / 2, top + (side - high) / 2
    return left, left + wide, top + high, top
