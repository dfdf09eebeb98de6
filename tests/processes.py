"""Processes as tests see them from outside."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path


def is_alive(process: int) -> bool:
    """Whether it runs still; one that has ended and that nobody has asked about does not."""
    return _stat(process)[:1] not in ([], ["Z"], ["X"])


def is_stopped(process: int) -> bool:
    """Whether it was told to stop, and can go on."""
    return _stat(process)[:1] == ["T"]


def parent(process: int) -> int:
    """The process that it is a child of."""
    return int(_stat(process)[1])


def descendants(process: int) -> set[int]:
    """Its children, their children, and so on."""
    every = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]
    parents = {one: int(stat[1]) for one in every if (stat := _stat(one))}
    found, new = set[int](), {process}
    while new:
        new = {one for one, its in parents.items() if its in new} - found
        found |= new
    return found


def until(condition: Callable[[], bool], seconds: float = 240.0) -> None:
    """Wait until something is so.

    Raises:
        TimeoutError: it is not.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} seconds")
        time.sleep(0.05)


def _stat(process: int) -> list[str]:
    """State, parent and so on; empty where there is no such process."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
