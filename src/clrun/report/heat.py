"""Heat maps: tables whose cells have a colour, so that everybody can read, copy and print them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from clrun.report import numbers
from clrun.report.ramp import change_step, step

Shade = Literal["share", "change", "range"]


class Cell(NamedTuple):
    """A field of a heat map."""

    value: float | None
    title: str = ""
    """said where it is pointed at: rows, interval"""
    is_marked: bool = False
    """has a frame"""


@dataclass(frozen=True, kw_only=True)
class HeatMap:
    """Values in rows and columns.

    A share in [0, 1] is coloured as it is; a change by its sign, on the scale of the largest; a
    range from its lowest value to its highest.
    """

    id: str
    caption: str
    row_label: str
    column_label: str
    row_names: Sequence[str]
    column_names: Sequence[str]
    cells: Sequence[Sequence[Cell]]
    shade: Shade = "share"
    digits: int = 3
    is_lower_better: bool = False
    """of a change: then a fall is good; of a range: then the lowest is the strongest"""
    is_signed: bool = True
    """of a change: written with its sign"""
    corner: str = ""

    def text(self, cell: Cell) -> str:
        """What stands in a field."""
        write = numbers.signed if self.shade == "change" and self.is_signed else numbers.decimal
        return write(cell.value, self.digits) if cell.value is not None else ""

    def colour(self, cell: Cell) -> str:
        """The class of a field's colour."""
        if cell.value is None:
            return "h-none"
        if self.shade == "share":
            return step(cell.value)
        known = [each.value for row in self.cells for each in row if each.value is not None]
        if self.shade == "change":
            good = -cell.value if self.is_lower_better else cell.value
            return change_step(good, max(map(abs, known)))
        low, high = min(known), max(known)
        share = (cell.value - low) / (high - low) if high > low else 0.5
        return step(1 - share if self.is_lower_better else share)
