"""Parallel coordinates: an axis for each key and number, and a thread for each point of a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from clrun.report.svg import SIDE, Tick, path

SHADES = 5
"""Steps of how strong a thread is, the strongest for the best fifth."""


class Upright(NamedTuple):
    """An axis, from the bottom to the top."""

    name: str
    ticks: Sequence[Tick]


class Thread(NamedTuple):
    """A point of a sweep across all axes."""

    name: str
    """said where it is pointed at"""
    places: Sequence[float | None]
    """percent of each axis"""
    shade: int
    """0 to `SHADES` - 1"""


@dataclass(frozen=True, kw_only=True)
class Parallel:
    """Axes side by side."""

    id: str
    title: str
    summary: str
    axes: Sequence[Upright]
    threads: Sequence[Thread]
    """the best last, above the others"""

    def right(self, at: int) -> float:
        """How far right an axis stands, in percent."""
        return at / max(len(self.axes) - 1, 1) * 100

    def uprights(self) -> str:
        """The lines of all axes."""
        return "".join(f"M{round(self.right(at) * 10)} 0V{SIDE}" for at in range(len(self.axes)))

    def line(self, thread: Thread) -> str:
        """A thread, broken where it has no number."""
        return path(
            [
                None if place is None else (round(self.right(at) * 10), round(SIDE - place * 10))
                for at, place in enumerate(thread.places)
            ]
        )
