"""Processes as tests see them from outside."""

from __future__ import annotations

from pathlib import Path


def is_alive(process: int) -> bool:
    """Whether it runs still; one that has ended and that nobody has asked about does not."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"
