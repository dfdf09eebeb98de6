"""How figures look, whatever a matplotlibrc file says: for print, and for all eyes.

Only matplotlib's figures are used, never pyplot: nothing global is touched and no screen is needed.
"""

from __future__ import annotations

from typing import Any

import matplotlib
from matplotlib.colors import LinearSegmentedColormap

from clrun.console.visible import one_line

COLUMN, PAGE = 3.3, 6.9
"""Inches: a column of a page with two, and both of them."""
DPI = 300

INK, FAINT, GRID = "#24292f", "#57606a", "#e3e6ea"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's, which people who see few colours can tell apart, the palest left out."""
MARKERS = "osD^vPX"
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
"""With these a line is known in grey too."""
HEAT = LinearSegmentedColormap.from_list("accuracy", ["#f7fbff", "#9ecae1", "#3182bd", "#08306b"])
"""Darker is higher, also where a printer has no colour."""
NOTHING = "#eeeeee"

STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib, so figures are alike everywhere
    "font.size": 7,
    "axes.labelsize": 7,
    "axes.titlesize": 7,
    "legend.fontsize": 6.5,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.1,
    "lines.markersize": 3.2,
    "legend.frameon": False,
    "text.parse_math": False,  # a value may be $x$
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.5,
    "pdf.fonttype": 42,  # letters stay letters: they can be searched and copied
    "svg.fonttype": "none",
    "svg.hashsalt": "clrun",  # the same names inside each time
}


def style() -> dict[Any, Any]:
    """Matplotlib's own looks with ours."""
    own = matplotlib.rcParamsDefault.items()
    return {key: value for key, value in own if not key.startswith("backend")} | STYLE  # no pyplot


def colour(number: int) -> str:
    """The colour of the n-th line, from 0."""
    return COLOURS[number % len(COLOURS)]


def marker(number: int) -> str:
    """The mark of the n-th line, another one each time the colours begin again."""
    return MARKERS[(number + number // len(COLOURS)) % len(MARKERS)]


def dashes(number: int) -> Any:
    """The dashes of the n-th line."""
    return DASHES[(number + number // len(COLOURS)) % len(DASHES)]


def shown(text: str, most: int) -> str:
    """A name as one line of at most so many letters."""
    line = one_line(text)
    return line if len(line) <= most else f"{line[: most - 3]}..."
