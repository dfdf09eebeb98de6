"""Bars: lengths beside each other, with their intervals, or parts of a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from clrun.report.svg import hue


class Bar(NamedTuple):
    """A length with a name."""

    name: str
    value: float | None
    text: str
    """the value as it is written"""
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True)
class Bars:
    """Lengths from 0 on, one below the other."""

    caption: str
    bars: Sequence[Bar]

    def percent(self, value: float | None) -> float:
        """How long, of the room there is."""
        ends = [end for bar in self.bars for end in (bar.value, bar.high) if end is not None]
        most = max(ends, default=0.0)
        return 0.0 if value is None or most <= 0 else round(max(value, 0.0) / most * 100, 2)


class Part(NamedTuple):
    """One kind of what is stacked: a class, an experience, a phase."""

    name: str
    values: Sequence[float]
    """of each column"""


@dataclass(frozen=True, kw_only=True)
class Stack:
    """Columns of parts on top of each other, as a memory over time."""

    id: str
    title: str
    summary: str
    columns: Sequence[str]
    column_label: str
    parts: Sequence[Part]
    unit: str

    @property
    def most(self) -> float:
        """The height of the highest column."""
        return max((sum(each) for each in self._by_column()), default=0.0)

    def totals(self) -> list[float]:
        """The height of each column."""
        return [sum(each) for each in self._by_column()]

    def pieces(self, column: int) -> list[tuple[Part, float, int, float]]:
        """(part, its value, its hue, its height in percent) of a column, from the bottom on."""
        most, count = self.most or 1.0, len(self.parts)
        return [
            (part, part.values[column], hue(number, count), part.values[column] / most * 100)
            for number, part in enumerate(self.parts)
            if part.values[column]
        ]

    def _by_column(self) -> list[list[float]]:
        return [[part.values[at] for part in self.parts] for at in range(len(self.columns))]
