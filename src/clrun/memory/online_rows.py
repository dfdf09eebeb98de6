"""The rows of a memory that is offered a few at a time: an offer costs what it changes.

Rows stay in their slots, a ledger says which slots are in use and in what order, and a draw reads
those alone that it draws. What is held, and in which order, is what the storage policy's `keep`
would answer.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from clrun.memory.ledgers import Bookkeeping
from clrun.memory.slots import Slots
from clrun.memory.sorted_rows import SortedRows
from clrun.memory.table import Table


class OnlineRows:
    """At most `mem_size` rows, beginning with those held in the memory's order."""

    def __init__(
        self, held: Table, mem_size: int, book: Bookkeeping, rules: tuple[object, object]
    ) -> None:
        """`rules` are the policy and the selection that `book` is of."""
        self.rules = rules
        self._by, self._slots = book.by, Slots(held, mem_size)
        self._ledger = book.begin(self._of(held), mem_size)
        self._order: list[int] | None = None
        self._members: dict[str, dict[int, SortedRows]] = {}

    def __len__(self) -> int:
        return len(self._ledger)

    @property
    def nbytes(self) -> int:
        return len(self) * self._slots.row_bytes

    def offer(self, new: Table) -> None:
        """Let new rows compete for places; only those that get one are copied."""
        change = self._ledger.offer(self._of(new))
        if not change.added:
            return
        self._order, slots = None, list(change.added)
        for name in self._members:
            self._remove(name, change.removed)
        self._slots.put(slots, new.select(torch.tensor([*change.added.values()])))
        for name in self._members:
            self._add(name, slots)

    def _of(self, rows: Table) -> list[tuple[int, float]]:
        """The group and the key of each row."""
        groups = rows.columns[self._by].tolist() if self._by else [0] * len(rows)
        return list(zip(groups, rows.key.tolist(), strict=True))

    @property
    def order(self) -> list[int]:
        """The slots of all rows, in the memory's order."""
        if self._order is None:
            self._order = self._ledger.slots()
        return self._order

    def table(self) -> Table:
        """Copies of all rows, in the memory's order."""
        return self._slots.select(self.order)

    def column(self, name: str) -> Tensor:
        """One column of all rows, in the memory's order."""
        return self._slots.column(name, self.order)

    def column_at(self, name: str, places: Sequence[int]) -> Tensor:
        """One column of the rows at these places of the memory's order."""
        return self._slots.column(name, self._ledger.slot_at(places))

    def take(self, places: Sequence[int]) -> Table:
        """Copies of the rows at these places of the memory's order."""
        return self._slots.select(self._ledger.slot_at(places))

    def select(self, slots: Sequence[int]) -> Table:
        """Copies of the rows in these slots."""
        return self._slots.select(slots)

    def members(self, name: str) -> dict[int, SortedRows]:
        """The rows of each group that a column tells apart, by key, the highest first.

        Counted once, and kept up to date from then on.
        """
        if name not in self._members:
            self._members[name] = {}
            self._add(name, self.order)
        return self._members[name]

    def _add(self, name: str, slots: Sequence[int]) -> None:
        groups = self._members[name]
        for group, key, slot in self._numbers(name, slots):
            groups.setdefault(group, SortedRows()).add(-key, slot)

    def _remove(self, name: str, slots: Sequence[int]) -> None:
        groups = self._members[name]
        for group, key, slot in self._numbers(name, slots):
            groups[group].remove(-key, slot)
            if not groups[group]:
                del groups[group]

    def _numbers(self, name: str, slots: Sequence[int]) -> list[tuple[int, float, int]]:
        groups, keys = (self._slots.column(each, slots).tolist() for each in (name, "key"))
        return list(zip(groups, keys, slots, strict=True))
