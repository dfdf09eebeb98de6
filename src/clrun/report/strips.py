"""Strip charts: a column of dots for each value of a key, and a line through their means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

from clrun.report import numbers
from clrun.report.svg import SIDE, Tick, padded, path, percent
from clrun.report.ticks import decimals, ticks


class Dot(NamedTuple):
    """A dot of a column."""

    name: str
    value: float
    is_best: bool = False


@dataclass(frozen=True, kw_only=True)
class Strip:
    """Dots in columns."""

    id: str
    title: str
    summary: str
    x_label: str
    y_label: str
    names: Sequence[str]
    columns: Sequence[Sequence[Dot]]
    """the dots of each name"""
    is_ordered: bool = True
    """a line goes from mean to mean; else each has a dash of its own"""

    def x_ticks(self) -> list[Tick]:
        """The name of each column, below its middle."""
        return [Tick(self._right(at) / SIDE * 100, name) for at, name in enumerate(self.names)]

    def y_ticks(self) -> list[Tick]:
        """Those from the bottom to the top."""
        low, high = self._span()
        found = ticks(low, high)
        digits = decimals(found, least=2)
        return [Tick(percent(f, low, high), numbers.decimal(f, digits)) for f in found]

    def dots(self) -> list[tuple[Dot, int, int]]:
        """Each dot, and how far right and down it is."""
        return [
            (dot, self._right(at), self._down(dot.value))
            for at, column in enumerate(self.columns)
            for dot in column
        ]

    def means(self) -> list[float | None]:
        """The mean of each column."""
        return [fmean(d.value for d in column) if column else None for column in self.columns]

    def line(self) -> str:
        """A line through the means, broken where there is none; or a dash at each."""
        if not self.is_ordered:
            half = round(SIDE / len(self.names) / 6)
            return "".join(
                f"M{self._right(at) - half} {self._down(mean)}h{2 * half}"
                for at, mean in enumerate(self.means())
                if mean is not None
            )
        return path(
            [
                None if mean is None else (self._right(at), self._down(mean))
                for at, mean in enumerate(self.means())
            ]
        )

    def rows(self) -> list[tuple[str, float | None, float | None, int]]:
        """(value, mean, highest, dots) of each column, for the table of numbers."""
        return [
            (name, mean, max((d.value for d in column), default=None), len(column))
            for name, mean, column in zip(self.names, self.means(), self.columns, strict=True)
        ]

    def _right(self, at: int) -> int:
        return round((at + 0.5) / len(self.names) * SIDE)

    def _down(self, value: float) -> int:
        return SIDE - round(percent(value, *self._span()) / 100 * SIDE)

    def _span(self) -> tuple[float, float]:
        return padded([dot.value for column in self.columns for dot in column])
