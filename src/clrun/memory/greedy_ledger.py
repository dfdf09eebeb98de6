"""The ledger of `greedy_balanced`: first come, first stored, within equal shares of the classes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import heapify, heappop, heappush

from clrun.memory.ledger import Change, Places, Row
from clrun.memory.sorted_rows import SortedRows

SPARE = 64
"""Entries that no longer hold and may stay in the heap, beside one for each class."""


class GreedyLedger:
    """What `GreedyBalancedStoragePolicy.keep` does, row for row. The memory's order is that in
    which rows came."""

    def __init__(self, held: Sequence[Row], mem_size: int) -> None:
        """`held` are the rows in the memory's order, each in the slot of its number."""
        self._mem_size, self._places, self._came = mem_size, Places(len(held)), len(held)
        self._order = SortedRows((slot, slot) for slot in range(len(held)))
        """The rows by when they came."""
        self._when = list(range(len(held)))
        """When the row of each slot came."""
        self.groups: dict[int, SortedRows] = {}
        """The rows of each class, the one that goes first at the end."""
        for slot, (label, key) in enumerate(held):
            self.groups.setdefault(label, SortedRows()).add(-key, slot, before_equals=True)
        self._largest: list[tuple[int, float, int, int]] = []
        """(minus its rows, the lowest key and when that row came, the class) of each, and entries
        that no longer hold"""
        self._tidy()

    def __len__(self) -> int:
        return len(self._order)

    def offer(self, rows: Sequence[Row]) -> Change:
        early, added, removed = self._early(rows), dict[int, int](), list[int]()
        for number in early:
            label, key = rows[number]
            own = self.groups.setdefault(label, SortedRows())
            if len(own) >= self._mem_size // len(self.groups):
                continue
            if len(self) == self._mem_size:
                slot = self._taken()
                if added.pop(slot, None) is None:
                    removed.append(slot)
            else:
                slot = self._places.take()
            came = self._came + number
            own.add(-key, slot, before_equals=True)
            self._order.add(came, slot)
            self._when[slot : slot + 1] = [came]
            self._entered(label)
            added[slot] = number
        self._came += len(rows)
        for label in [label for label, held in self.groups.items() if not held]:
            del self.groups[label]
        if len(self._largest) > 2 * len(self.groups) + SPARE:
            self._tidy()
        return Change(removed, added)

    def _early(self, rows: Sequence[Row]) -> list[int]:
        """Numbers of the rows that come early enough in their class to be stored at all.

        A class without any such row is not met, and takes nothing of the others' shares.
        """
        left, early = dict[int, int](), []
        for number, (label, _) in enumerate(rows):
            if label not in left:
                classes = len(self.groups) + (label not in self.groups)
                left[label] = self._mem_size // classes - len(self.groups.get(label, ()))
            if left[label] > 0:
                left[label] -= 1
                early.append(number)
        return early

    def _taken(self) -> int:
        """The slot of a row of the largest class, which loses it."""
        heap = self._largest
        while heap[0] != self._entry(heap[0][3]):
            heappop(heap)
        label = heap[0][3]
        slot = self.groups[label].pop_last()[1]
        self._order.remove(self._when[slot], slot)
        if self.groups[label]:
            self._entered(label)
        return slot

    def _entry(self, label: int) -> tuple[int, float, int, int] | None:
        """What the heap has to have of a class; None where it holds no row."""
        rows = self.groups.get(label)
        if not rows:
            return None
        minus_key, slot = rows.last
        return -len(rows), -minus_key, self._when[slot], label

    def _entered(self, label: int) -> None:
        entry = self._entry(label)
        assert entry is not None
        heappush(self._largest, entry)

    def _tidy(self) -> None:
        entries = map(self._entry, self.groups)
        self._largest = [entry for entry in entries if entry is not None]
        heapify(self._largest)

    def slots(self) -> list[int]:
        return list(self._order)

    def slot_at(self, places: Iterable[int]) -> list[int]:
        return [self._order[place] for place in places]
