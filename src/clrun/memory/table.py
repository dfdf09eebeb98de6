"""Rows with named columns: what a memory holds of each row, and what is offered to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from clrun.device.rows import sent
from clrun.errors import ConfigError


@dataclass(frozen=True)
class Table:
    """Rows of a memory, or rows offered to it: every column has one entry a row.

    All rows have `y`, `experience` and `key`; further columns have names: the images are `x`, and a
    method adds its own, as DER++ does with `logits`. A memory holds the rows of a group side by
    side, in the selection's order: best first, so the last one of a group is the first to go.
    """

    y: Tensor
    """[N] int64, the class"""
    experience: Tensor
    """[N] int64, the experience that offered the row"""
    key: Tensor
    """[N] float64 in [0, 1), drawn when the row was offered; stays with the row"""
    named: Mapping[str, Tensor] = field(default_factory=dict)
    """further columns [N, ...]; `x` are images [N, C, H, W] uint8"""
    measures: Mapping[str, Measure] = field(default_factory=dict)
    """columns that are computed whenever they are read, and stored nowhere"""

    @property
    def columns(self) -> dict[str, Tensor]:
        """Everything that is stored of the rows, by name."""
        return {"y": self.y, "experience": self.experience, "key": self.key, **self.named}

    @property
    def x(self) -> Tensor:
        return self.named["x"]

    @property
    def nbytes(self) -> int:
        return sum(column.nbytes for column in self.columns.values())

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, name: str) -> Tensor:
        """The column of that name, read or measured.

        Raises:
            ConfigError: the rows have no such column; the strategy does not say that of them.
        """
        if name in self.measures:
            return self.measures[name](self)
        columns = self.columns
        if name not in columns:
            known = ", ".join([*columns, *self.measures])
            raise ConfigError(
                f"storage_policy: it reads the column {name!r} of a memory's rows, which this "
                f"strategy does not give. Use another storage_policy; known here: {known}."
            )
        return columns[name]

    def select(self, index: Tensor) -> Table:
        """Copies of the rows at `index` [k] int64, in that order."""
        return self._each(lambda column: column.index_select(0, index))

    def span(self, start: int, stop: int) -> Table:
        """Views of the rows from `start` up to `stop`."""
        return self._each(lambda column: column[start:stop])

    def to(self, device: torch.device) -> Table:
        """The same rows on a device, but for their keys: not every device has float64."""
        moved = replace(self, key=self.y)._each(lambda c: sent(c, device))
        return replace(moved, key=self.key)

    def without_rows(self) -> Table:
        """The same columns, and no rows."""
        return self._each(lambda column: torch.empty((0, *column.shape[1:]), dtype=column.dtype))

    def _each(self, change: Callable[[Tensor], Tensor]) -> Table:
        """The table of all columns changed in the same way."""
        named = {name: change(column) for name, column in self.named.items()}
        own = change(self.y), change(self.experience), change(self.key)
        return Table(*own, named, self.measures)


Measure = Callable[[Table], Tensor]
"""A function of rows (perhaps none), [N, ...] with an entry for each: their loss just now, say."""


def table(columns: Mapping[str, Tensor], measures: Mapping[str, Measure] | None = None) -> Table:
    """The table of these columns, as `Table.columns` gives them."""
    named = dict(columns)
    own = named.pop("y"), named.pop("experience"), named.pop("key")
    return Table(*own, named, measures or {})


def concatenate(parts: Sequence[Table]) -> Table:
    """Copies of all rows, part after part; parts without rows may have other columns."""
    filled = [part for part in parts if len(part)] or parts[:1]
    columns = [part.columns for part in filled]
    assert all(found.keys() == columns[0].keys() for found in columns), "parts of one table"
    joined = {name: torch.cat([found[name] for found in columns]) for name in columns[0]}
    return table(joined, filled[0].measures)


def select_from_both(held: Table, new: Table, index: Tensor) -> Table:
    """Copies of rows of `held` followed by `new`, which may be large and are not joined for it."""
    if len(held) == 0 or len(new) == 0:
        return (new if len(held) == 0 else held).select(index)
    arrivals = (index >= len(held)).nonzero().flatten()
    from_held = index.clamp(max=len(held) - 1)
    from_new = index[arrivals] - len(held)
    old, fresh = held.columns, new.columns
    assert old.keys() == fresh.keys(), f"columns {[*fresh]} are offered to a memory of {[*old]}"
    chosen = {}
    for name, column in old.items():
        rows = fresh[name].index_select(0, from_new)
        chosen[name] = column.index_select(0, from_held).index_copy_(0, arrivals, rows)
    return table(chosen, held.measures)


def empty(**named: Tensor) -> Table:
    """No rows, with further columns of no rows."""
    return Table(
        y=torch.empty(0, dtype=torch.int64),
        experience=torch.empty(0, dtype=torch.int64),
        key=torch.empty(0, dtype=torch.float64),
        named=named,
    )
