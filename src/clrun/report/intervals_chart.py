"""Differences with their intervals around 0, one below the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from clrun.report import numbers
from clrun.report.svg import Tick, percent
from clrun.report.ticks import decimals, ticks


class Bracket(NamedTuple):
    """A difference and the ends of its interval."""

    name: str
    mean: float
    low: float | None
    high: float | None
    is_shown: bool
    """it is more than chance"""


@dataclass(frozen=True, kw_only=True)
class Brackets:
    """Differences on one scale, 0 in it."""

    id: str
    caption: str
    brackets: Sequence[Bracket]

    def right(self, value: float) -> float:
        """How far right a value is, in percent."""
        return round(percent(value, *self.span()), 2)

    def ticks(self) -> list[Tick]:
        """Those of the scale below."""
        found = ticks(*self.span(), most=4)  # there is room for four numbers beside the names
        digits = decimals(found, least=2)
        return [Tick(self.right(at), numbers.signed(at, digits)) for at in found]

    def span(self) -> tuple[float, float]:
        """From the lowest to the highest end, with 0 and a margin."""
        ends = [0.0]
        for each in self.brackets:
            ends += [end for end in (each.low, each.mean, each.high) if end is not None]
        low, high = min(ends), max(ends)
        margin = (high - low) * 0.06 or 0.01
        return low - margin, high + margin
