"""Line charts: values over time, which can be counted in several ways."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from clrun.console.visible import visible
from clrun.report import numbers
from clrun.report.svg import SIDE, Tick, path, percent, rounded, spread_out
from clrun.report.ticks import decimals, ticks, whole

MOST_MARKS = 600
"""Points of a drawing that are marked; of more, the lines alone are drawn."""
MOST_MARKED = 24
"""Moments on a line that are all marked; of more, those of the table alone are."""
DENSE = 120
"""Moments from which on lines are thin."""
MOST_ENDS = 16
"""Lines that have their names at their ends."""
APART = 48
"""Between two such names, of a drawing 300 px high."""

Kind = Literal["experience", "count", "seconds"]
Role = Literal["line", "mean", "floor", "ceiling"]


class Axis(NamedTuple):
    """What may be counted from left to right."""

    key: str
    label: str
    kind: Kind = "count"


@dataclass(frozen=True, kw_only=True)
class Series:
    """A line: values at the moments of a clock."""

    name: str
    y: Sequence[float | None]
    low: Sequence[float | None] = ()
    high: Sequence[float | None] = ()
    """the ends of the interval of each value; a band is drawn where they are given"""
    clock: int = 0
    """which of the chart's clocks its moments are of"""
    role: Role = "line"
    hue: int = 250
    """degrees; lines alone use it"""
    end: str = ""
    """a few letters at the line's end"""


@dataclass(frozen=True, kw_only=True)
class LineChart:
    """Lines over time, which may be counted in several ways."""

    id: str
    title: str
    summary: str
    """what is to be seen, in a sentence: the picture's text"""
    axes: Sequence[Axis]
    """the first is drawn; a script offers the others"""
    clocks: Sequence[Mapping[str, Sequence[float]]]
    """axis -> when each value was, for the lines of that clock"""
    series: Sequence[Series]
    y_label: str
    low: float = 0.0
    high: float = 1.0
    note: str = ""
    rows: Sequence[str] = ()
    """names of the moments that the table of its numbers has, of the first clock; all if empty"""
    places: Sequence[int] = ()
    """which moments those are"""

    def ticks(self, axis: Axis) -> list[Tick]:
        """Those of an axis from left to right."""
        low, high = self.span(axis)
        whole_numbers = axis.kind == "experience"
        found = whole(round(low), math.ceil(high)) if whole_numbers else ticks(low, high)
        write = numbers.seconds if axis.kind == "seconds" else numbers.short
        inside = [number for number in found if low <= number <= high]
        return [Tick(percent(number, low, high), write(number)) for number in inside]

    def y_ticks(self) -> list[Tick]:
        """Those from the bottom to the top."""
        found = ticks(self.low, self.high)
        digits = decimals(found)
        return [
            Tick(percent(number, self.low, self.high), numbers.decimal(number, digits))
            for number in found
        ]

    def span(self, axis: Axis) -> tuple[float, float]:
        """The first and the last moment on an axis; experiences are counted from 1."""
        known = [moment for clock in self.clocks for moment in clock.get(axis.key, ())]
        low = float(math.floor(min(known, default=0.0))) if axis.kind == "experience" else 0.0
        high = max(known, default=1.0)
        return (low, high) if high > low else (low - 0.5, low + 0.5)

    def line(self, series: Series) -> str:
        """A line through its values, broken where there are none."""
        return path(self._points(series, series.y))

    def marks(self, series: Series) -> list[tuple[int, str, str]]:
        """(which moment, a path of no length, which is drawn as a dot, its text) of the values.

        Of very many moments only those of the table are marked.
        """
        is_dense = series.clock == 0 and len(series.y) > MOST_MARKED
        places = set(self.places) if is_dense and self.places else range(len(series.y))
        if len(self.series) * len(places) > MOST_MARKS:
            return []
        points = self._points(series, series.y)
        return [
            (at, f"M{point[0]} {point[1]}h0", f"{series.name}: {numbers.decimal(series.y[at])}")
            for at, point in enumerate(points)
            if point is not None and at in places
        ]

    def band(self, series: Series) -> str:
        """The area between the ends of the intervals; empty without any."""
        if not series.low:
            return ""
        tops = [p for p in self._points(series, series.high) if p is not None]
        bottoms = [p for p in self._points(series, series.low) if p is not None]
        return f"{path([*tops, *reversed(bottoms)])}Z" if len(tops) > 1 else ""

    def ends(self) -> list[tuple[Series, float]]:
        """The lines that have names at their ends, and how far down these stand, in percent."""
        named = [series for series in self.series if series.end]
        if len(named) > MOST_ENDS:
            return []
        last = [(s, next((v for v in reversed(s.y) if v is not None), None)) for s in named]
        known = sorted(
            ((s, self._down(value)) for s, value in last if value is not None), key=lambda e: e[1]
        )
        places = spread_out([place for _, place in known], APART, SIDE)
        return [(s, place / SIDE * 100) for (s, _), place in zip(known, places, strict=True)]

    def is_dense(self) -> bool:
        """Whether there are so many moments that thick lines would hide each other."""
        return len(self.series) > 2 and any(len(series.y) > DENSE for series in self.series)

    def longest_end(self) -> int:
        """Letters of the longest name at a line's end: the room that they need."""
        return max((len(series.end) for series, _ in self.ends()), default=0)

    def table_rows(self) -> list[tuple[str, int]]:
        """(its name, which moment of the first clock it is) of each row of the table of numbers."""
        if self.rows:
            return list(zip(self.rows, self.places, strict=True))
        moments = self.clocks[0][self.axes[0].key]
        return [(numbers.short(moment), at) for at, moment in enumerate(moments)]

    def data(self) -> dict[str, Any]:
        """What the script needs to count differently and to read values out."""
        return {
            "axes": [
                {
                    **{"key": axis.key, "label": axis.label, "kind": axis.kind},
                    "span": self.span(axis),
                    "ticks": [[round(t.place, 2), t.text] for t in self.ticks(axis)],
                }
                for axis in self.axes
            ],
            "clocks": [
                {key: [round(moment, 4) for moment in clock[key]] for key in clock}
                for clock in self.clocks
            ],
            "series": [
                {"name": visible(s.name), "clock": s.clock, "y": rounded(s.y)}
                | ({"low": rounded(s.low), "high": rounded(s.high)} if s.low else {})
                for s in self.series
            ],
            "y": [self.low, self.high],
        }

    def _points(
        self, series: Series, values: Sequence[float | None]
    ) -> list[tuple[int, int] | None]:
        axis = self.axes[0]
        low, high = self.span(axis)
        moments = self.clocks[series.clock][axis.key]
        return [
            None
            if value is None
            else (round(percent(moment, low, high) / 100 * SIDE), round(self._down(value)))
            for moment, value in zip(moments, values, strict=True)
        ]

    def _down(self, value: float) -> float:
        return SIDE - percent(value, self.low, self.high) / 100 * SIDE
