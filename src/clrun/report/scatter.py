"""Scatter plots: points in two measures, and those of them that no other is better than."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

from clrun.report import numbers
from clrun.report.svg import SIDE, Tick, padded, percent
from clrun.report.ticks import decimals, powers, ticks


class Spot(NamedTuple):
    """A point of a scatter plot."""

    name: str
    """said where it is pointed at"""
    x: float
    y: float
    low: float | None = None
    high: float | None = None
    """the interval of y"""
    label: str = ""
    """written beside it"""
    is_front: bool = False
    """no other is better in both: it stands out, and a line leads to the next such"""


@dataclass(frozen=True, kw_only=True)
class Scatter:
    """Points in two measures, such as accuracy against bytes."""

    id: str
    title: str
    summary: str
    spots: Sequence[Spot]
    x_label: str
    y_label: str
    x_kind: Literal["count", "seconds", "bytes"] = "count"
    is_log: bool = False
    """x in powers of ten; every x is above 0 then"""
    note: str = ""

    def x_ticks(self) -> list[Tick]:
        """Those from left to right."""
        low, high = self._x_span()
        if self.is_log:
            found = [math.log10(p) for p in powers(10**low, 10**high)]
        else:
            found = ticks(low, high)
        write = {"seconds": numbers.seconds, "bytes": numbers.size}.get(self.x_kind, numbers.short)
        return [Tick(percent(f, low, high), write(10**f if self.is_log else f)) for f in found]

    def y_ticks(self) -> list[Tick]:
        """Those from the bottom to the top."""
        low, high = self._y_span()
        found = ticks(low, high)
        digits = decimals(found, least=2)
        return [Tick(percent(f, low, high), numbers.decimal(f, digits)) for f in found]

    def places(self) -> list[tuple[Spot, int, int, str]]:
        """Each point, how far right and down it is, and the path of its interval."""
        (x_low, x_high), (y_low, y_high) = self._x_span(), self._y_span()

        def down(value: float) -> int:
            return SIDE - round(percent(value, y_low, y_high) / 100 * SIDE)

        found = []
        for spot in self.spots:
            x = round(percent(self._x(spot), x_low, x_high) / 100 * SIDE)
            has_interval = spot.low is not None and spot.high is not None
            ends = f"M{x} {down(spot.low)}V{down(spot.high)}" if has_interval else ""  # type: ignore[arg-type]
            found.append((spot, x, down(spot.y), ends))
        return found

    def front(self) -> str:
        """A line of steps through the points that no other is better than."""
        points = sorted((x, y) for spot, x, y, _ in self.places() if spot.is_front)
        if len(points) < 2:
            return ""
        steps = "".join(f"H{after[0]}V{after[1]}" for _, after in pairwise(points))
        return f"M{points[0][0]} {points[0][1]}{steps}"

    def _x(self, spot: Spot) -> float:
        return math.log10(spot.x) if self.is_log else spot.x

    def _x_span(self) -> tuple[float, float]:
        return padded([self._x(spot) for spot in self.spots])

    def _y_span(self) -> tuple[float, float]:
        ends = [end for spot in self.spots for end in (spot.low, spot.y, spot.high)]
        return padded([end for end in ends if end is not None])
