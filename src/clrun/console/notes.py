"""Lines that are no errors."""

from __future__ import annotations

import sys


def show_note(note: str) -> None:
    """Print what is valid and yet worth a line."""
    print(f"clrun: note: {note}", file=sys.stderr, flush=True)
