"""Drawings of our own: what lines and points have in common.

A drawing fills whatever width a page has: its SVG is stretched (`preserveAspectRatio="none"`, with
strokes that keep their width), and all writing is HTML beside it, which keeps its size on a phone.
Both sides of a drawing count from 0 to `SIDE`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

SIDE = 1000


class Tick(NamedTuple):
    """A round number on an axis."""

    place: float
    """percent of the axis"""
    text: str


def padded(values: Sequence[float], share: float = 0.06) -> tuple[float, float]:
    """The span of some values with a margin on both sides."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    margin = (high - low) * share or abs(low) * share or 0.5
    return low - margin, high + margin


def spread_out(places: Sequence[float], apart: float, most: float) -> list[float]:
    """Rising places, moved as little as it takes to be so far apart and not above `most`."""
    found: list[float] = []
    for place in places:
        found.append(max(place, found[-1] + apart) if found else place)
    limit = most
    for number in range(len(found) - 1, -1, -1):
        found[number] = min(found[number], limit)
        limit = found[number] - apart
    return found


def hue(number: int, count: int) -> int:
    """A colour of one of several lines in their order, from blue over green to red."""
    share = number / (count - 1) if count > 1 else 0.0
    return round(262 - 240 * share)


def percent(value: float, low: float, high: float) -> float:
    return (value - low) / (high - low) * 100


def path(points: Sequence[tuple[int, int] | None]) -> str:
    parts, is_begun = [], False
    for point in points:
        if point is not None:
            parts.append(f"{'L' if is_begun else 'M'}{point[0]} {point[1]}")
        is_begun = point is not None
    return "".join(parts)


def rounded(values: Sequence[float | None]) -> list[float | None]:
    return [None if value is None else round(value, 4) for value in values]
