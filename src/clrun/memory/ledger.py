"""Which rows a memory holds, without the rows: their keys by group, kept offer by offer.

A ledger does what a storage policy's `keep` does beside random selection, row for row. `keep` is
given all rows and names all that stay; a ledger touches those alone that come or go.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple, Protocol

from clrun.memory.group_sizes import GroupSizes
from clrun.memory.sorted_rows import SortedRows

Row = tuple[int, float]
"""(group, key)"""


class Change(NamedTuple):
    """What an offer did. A slot that a row left may have another one now."""

    removed: list[int]
    """slots of rows held before that are not held any more"""
    added: dict[int, int]
    """slot -> number among those offered, of rows that are held now"""


class Ledger(Protocol):
    """Row numbers from 0 on, called slots, for the rows held: a row stays in its slot."""

    def __len__(self) -> int: ...
    def offer(self, rows: Sequence[Row]) -> Change:
        """Let rows compete for places."""
        ...

    def slots(self) -> list[int]:
        """The slots of all rows in the memory's order."""
        ...

    def slot_at(self, places: Iterable[int]) -> list[int]:
        """The slots of the rows that so many come before in the memory's order."""
        ...


class Places:
    """Slots for rows: those that became free are used again before further ones."""

    def __init__(self, used: int) -> None:
        self._used, self._free = used, list[int]()

    def take(self) -> int:
        if self._free:
            return self._free.pop()
        self._used += 1
        return self._used - 1

    def give_back(self, slot: int) -> None:
        self._free.append(slot)


class KeyLedger:
    """The rows with the highest keys of each group, as many as its quota.

    The memory's order is group by group, the oldest first, and within a group the highest key
    first; of equal keys the row that came first.
    """

    def __init__(self, held: Sequence[Row], sizes: GroupSizes) -> None:
        """`held` are the rows in the memory's order, each in the slot of its number."""
        rows: dict[int, list[tuple[float, int]]] = {}
        for slot, (group, key) in enumerate(held):
            rows.setdefault(group, []).append((-key, slot))
        self.groups = {group: SortedRows(own) for group, own in rows.items()}
        self._sizes, self._places, self._rows = sizes, Places(len(held)), len(held)
        self._starts: list[int] | None = None

    def __len__(self) -> int:
        return self._rows

    def offer(self, rows: Sequence[Row]) -> Change:
        arrivals: dict[int, list[tuple[float, int]]] = {}
        for number, (group, key) in enumerate(rows):
            arrivals.setdefault(group, []).append((-key, number))
        counts = {group: len(arrivals[group]) for group in sorted(arrivals)}
        quotas = self._sizes.offer(counts)
        removed = self._shrunk(quotas)
        added: dict[int, int] = {}
        for group in counts:
            if quotas[group]:
                held = self.groups.setdefault(group, SortedRows())
                self._merge(held, sorted(arrivals[group]), quotas[group], removed, added)
        self._starts = None
        self._rows += len(added) - len(removed)
        return Change(removed, added)

    def _shrunk(self, quotas: Mapping[int, int]) -> list[int]:
        """Take out what is beyond the quotas: the slots of these rows, which are free."""
        removed = []
        for group, quota in quotas.items():
            held = self.groups.get(group)
            while held and len(held) > quota:
                removed.append(held.pop_last()[1])
                self._places.give_back(removed[-1])
            if held is not None and not held:
                del self.groups[group]
        return removed

    def _merge(
        self,
        held: SortedRows,
        arrivals: Sequence[tuple[float, int]],
        quota: int,
        removed: list[int],
        added: dict[int, int],
    ) -> None:
        """Let new rows, the best first, into free places and into those of worse rows."""
        for order, number in arrivals:
            if len(held) < quota:
                slot = self._places.take()
            elif order < held.last[0]:
                slot = held.pop_last()[1]
                removed.append(slot)
            else:
                return
            held.add(order, slot)
            added[slot] = number

    def slots(self) -> list[int]:
        return [slot for rows in self.groups.values() for slot in rows]

    def slot_at(self, places: Iterable[int]) -> list[int]:
        groups = list(self.groups.values())
        if len(groups) == 1:
            rows = groups[0]
            return [rows[place] for place in places]
        if self._starts is None:
            self._starts = [0, *accumulate(map(len, groups))]
        starts, found = self._starts, []
        for place in places:
            group = bisect_right(starts, place) - 1
            found.append(groups[group][place - starts[group]])
        return found
