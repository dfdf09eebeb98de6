"""How many rows of each group a memory has places for, kept up to date offer by offer.

The same quotas as those of `quotas`, which counts all groups anew; here an offer costs what it
changes. Groups that hold no row are forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping
from heapq import heapify, heappop, heappush, heapreplace
from typing import Protocol

from clrun.memory.quotas import fixed_shares

SPARE = 64
"""Entries that no longer hold and may stay in the heap, beside one for each group."""


class GroupSizes(Protocol):
    """The rows that each group holds."""

    def offer(self, arrivals: Mapping[int, int]) -> dict[int, int]:
        """So many rows of these groups compete, groups by id.

        How many rows each of these groups has a place for, and each other that loses some.
        """
        ...


class OneSize:
    """A single group that has all places."""

    def __init__(self, held: Mapping[int, int], mem_size: int) -> None:
        self._mem_size, self._held = mem_size, dict(held)

    def offer(self, arrivals: Mapping[int, int]) -> dict[int, int]:
        for group, rows in arrivals.items():
            self._held[group] = min(self._mem_size, self._held.get(group, 0) + rows)
        return {group: self._held[group] for group in arrivals}


class FixedSizes:
    """As many places for each of `total` groups."""

    def __init__(self, held: Mapping[int, int], mem_size: int, total: int, key: str) -> None:
        self._held, self._mem_size, self._total, self._key = dict(held), mem_size, total, key

    def offer(self, arrivals: Mapping[int, int]) -> dict[int, int]:
        """See `GroupSizes`.

        Raises:
            ConfigError: there are more groups than `total`; nothing has changed.
        """
        groups = len(self._held) + sum(group not in self._held for group in arrivals)
        if groups > self._total:
            fixed_shares([1] * groups, self._mem_size, self._total, key=self._key)
        quota = self._mem_size // self._total
        found = {g: min(quota, self._held.get(g, 0) + rows) for g, rows in arrivals.items()}
        if quota:
            self._held |= found
        return found


class EqualSizes:
    """Shares as equal as the groups' rows allow: while there are too many rows, the largest group
    gives one way, of equal ones the oldest. That pours the places as `quotas.shares` does."""

    def __init__(self, held: Mapping[int, int], mem_size: int) -> None:
        """`held` are the rows of each group, oldest group first."""
        self._held, self._mem_size = dict(held), mem_size
        self._age = {group: age for age, group in enumerate(held)}
        self._born, self._rows = len(self._held), sum(held.values())
        self._largest: list[tuple[int, int, int]] = []
        """(minus its rows, its age, the group) of each, and entries that no longer hold"""
        self._tidy()

    def offer(self, arrivals: Mapping[int, int]) -> dict[int, int]:
        for group, rows in arrivals.items():
            if group not in self._held:
                self._held[group], self._age[group] = 0, self._born
                self._born += 1
            self._held[group] += rows
            self._rows += rows
            heappush(self._largest, (-self._held[group], self._age[group], group))
        changed = dict.fromkeys(arrivals)
        while self._rows > self._mem_size:
            changed[self._one_less()] = None
        found = {group: self._held[group] for group in changed}
        for group in [group for group, rows in found.items() if not rows]:
            del self._held[group], self._age[group]
        if len(self._largest) > 2 * len(self._held) + SPARE:
            self._tidy()
        return found

    def _one_less(self) -> int:
        """Take a place from the largest group, which is given."""
        heap = self._largest
        while True:
            rows, age, group = heap[0]
            if self._held.get(group) == -rows and self._age[group] == age:
                break
            heappop(heap)
        self._held[group] -= 1
        self._rows -= 1
        heapreplace(heap, (rows + 1, age, group))
        return group

    def _tidy(self) -> None:
        self._largest = [(-rows, self._age[g], g) for g, rows in self._held.items()]
        heapify(self._largest)
