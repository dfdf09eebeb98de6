"""The columns of a memory's rows in slots: a row is written over, and the others stay."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from clrun.memory.row_order import empty_rows
from clrun.memory.table import Table, table

RESERVED = 2**30
"""Bytes of a column up to which room for all that the memory may hold is set aside at once. What is
never used of it is never taken from the system."""


class Slots:
    """Rows of a table at numbers from 0 on, at most `most` of them."""

    def __init__(self, rows: Table, most: int) -> None:
        """`rows` are in the slots of their numbers, as copies."""
        self._most, self._measures = most, rows.measures
        self._rooms = {
            name: column.new_empty((0, *column.shape[1:])) for name, column in rows.columns.items()
        }
        self._used = 0
        self.put(list(range(len(rows))), rows)

    def put(self, slots: Sequence[int], rows: Table) -> None:
        """Write each row to its slot."""
        columns = rows.columns
        assert columns.keys() == self._rooms.keys(), (
            f"columns {[*columns]} are offered to a memory of {[*self._rooms]}"
        )
        if not slots:
            return
        self._used = max(self._used, max(slots) + 1)
        at = torch.tensor(slots)
        for name, column in columns.items():
            room = self._rooms[name]
            if self._used > len(room):
                room = self._rooms[name] = self._larger(room)
            room.index_copy_(0, at, column)

    def _larger(self, room: Tensor) -> Tensor:
        """A copy with room for all that are used: for all that there will ever be, where that is
        not much."""
        at_once = RESERVED // max(1, room[:0].new_empty(room.shape[1:]).nbytes)
        size = max(self._used, min(self._most, max(at_once, 2 * self._used)))
        larger = empty_rows(size, room.shape[1:], room.dtype, room)
        larger[: len(room)] = room
        return larger

    def select(self, slots: Sequence[int]) -> Table:
        """Copies of the rows in these slots, in that order."""
        at = torch.tensor(slots, dtype=torch.int64)
        columns = {name: room.index_select(0, at) for name, room in self._rooms.items()}
        return table(columns, self._measures)

    def column(self, name: str, slots: Sequence[int]) -> Tensor:
        """One column of the rows in these slots."""
        return self._rooms[name].index_select(0, torch.tensor(slots, dtype=torch.int64))

    @property
    def row_bytes(self) -> int:
        return sum(room[:1].nbytes for room in self._rooms.values())
