"""Rows in the order of a number of each, in blocks: one comes or goes without moving the others."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator
from itertools import accumulate

BLOCK = 512
"""Entries in a block when it is made; it is cut in two at twice as many."""

Entry = tuple[float, int, int]
"""(the number, lowest first; which of equal ones comes first, no two alike; the row's slot)"""


class SortedRows:
    """Entries in ascending order. To add, take out or find one by its place takes a time that
    hardly depends on how many there are."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        entries = sorted(entries)
        self._blocks = [entries[i : i + BLOCK] for i in range(0, len(entries), BLOCK)]
        self._count = len(entries)
        self._ends: list[int] | None = None

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Entry]:
        for block in self._blocks:
            yield from block

    def __getitem__(self, place: int) -> Entry:
        """The entry that so many come before."""
        blocks = self._blocks
        if len(blocks) == 1:
            return blocks[0][place]
        if self._ends is None:
            self._ends = list(accumulate(map(len, blocks)))
        number = bisect_right(self._ends, place)
        return blocks[number][place - (self._ends[number - 1] if number else 0)]

    @property
    def last(self) -> Entry:
        return self._blocks[-1][-1]

    def add(self, entry: Entry) -> None:
        self._count, self._ends = self._count + 1, None
        if not self._blocks:
            self._blocks.append([entry])
            return
        number = min(self._block_of(entry), len(self._blocks) - 1)
        block = self._blocks[number]
        insort(block, entry)
        if len(block) >= 2 * BLOCK:
            self._blocks[number : number + 1] = [block[:BLOCK], block[BLOCK:]]

    def pop_last(self) -> Entry:
        return self._pop(len(self._blocks) - 1, -1)

    def remove(self, entry: Entry) -> None:
        """Take out an entry that is there."""
        number = self._block_of(entry)
        found = self._pop(number, bisect_left(self._blocks[number], entry))
        assert found == entry, "only what is there is taken out"

    def _block_of(self, entry: Entry) -> int:
        """The number of the first block that does not end before the entry."""
        if len(self._blocks) == 1:
            return 0
        return bisect_left(self._blocks, entry, key=lambda block: block[-1])

    def _pop(self, number: int, place: int) -> Entry:
        block = self._blocks[number]
        entry = block.pop(place)
        if not block:
            del self._blocks[number]
        self._count, self._ends = self._count - 1, None
        return entry
