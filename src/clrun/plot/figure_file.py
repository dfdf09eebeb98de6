"""A figure in a file: PNG, SVG or PDF, the same bytes from the same numbers."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from clrun.disk.files import write_bytes
from clrun.plot.looks import DPI, style

METADATA: dict[str, dict[str, None]] = {
    ".png": {"Software": None},
    ".svg": {"Date": None, "Creator": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
"""By the end of a file's name; what matplotlib would say of when, and with what, left out."""


def write_figure(path: Path, draw: Callable[[], Figure]) -> None:
    """Draw a figure into a file, which appears whole or not at all.

    Raises:
        StorageError: the disk is full, read-only or broken.
    """
    ending, buffer = path.suffix.lower(), BytesIO()
    with matplotlib.rc_context(style()), warnings.catch_warnings():
        # a letter that the font has not is drawn as a box, which says enough
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = draw()
        figure.savefig(buffer, format=ending[1:], dpi=DPI, metadata=METADATA[ending])
    write_bytes(path, buffer.getvalue())
