"""A word on a terminal while nothing else can be shown yet. Without rich: it comes before that."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from clrun.console.visible import raw

ERASE_LINE = "\r\x1b[2K"


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show what goes on inside, on a line that is gone afterwards; elsewhere nothing."""
    is_shown = sys.stdout.isatty()
    if is_shown:
        print(f"{what} ...", end="\r", file=raw(sys.stdout), flush=True)
    try:
        yield
    finally:
        if is_shown:
            print(ERASE_LINE, end="", file=raw(sys.stdout), flush=True)
