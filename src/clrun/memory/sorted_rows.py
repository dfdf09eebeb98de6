"""Rows in the order of a number of each, in blocks: one comes or goes without moving the others."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate

BLOCK = 512
"""Rows in a block when it is made; it is cut in two at twice as many."""


class SortedRows:
    """Slots of rows, the lowest number first; of equal ones that which came first.

    To add, take out or find one by its place takes a time that hardly depends on how many there
    are. Numbers lie side by side, which costs a tenth of comparing objects all over the memory.
    """

    def __init__(self, rows: Iterable[tuple[float, int]] = ()) -> None:
        """`rows` are (number, slot), in the order in which they came."""
        ordered = sorted(rows, key=lambda row: row[0])
        pieces = [ordered[i : i + BLOCK] for i in range(0, len(ordered), BLOCK)]
        self._numbers = [array("d", [number for number, _ in piece]) for piece in pieces]
        self._slots = [array("q", [slot for _, slot in piece]) for piece in pieces]
        self._lasts = [numbers[-1] for numbers in self._numbers]
        self._count = len(ordered)
        self._ends: list[int] | None = None

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[int]:
        """The slots of all rows."""
        for block in self._slots:
            yield from block

    def __getitem__(self, place: int) -> int:
        """The slot of the row that so many come before."""
        blocks = self._slots
        if len(blocks) == 1:
            return blocks[0][place]
        if self._ends is None:
            self._ends = list(accumulate(map(len, blocks)))
        block = bisect_right(self._ends, place)
        return blocks[block][place - (self._ends[block - 1] if block else 0)]

    @property
    def last(self) -> tuple[float, int]:
        """The number and the slot of the last row."""
        return self._lasts[-1], self._slots[-1][-1]

    def add(self, number: float, slot: int, *, before_equals: bool = False) -> None:
        """A row, after those of its number, unless it is to be the first of them."""
        self._count, self._ends = self._count + 1, None
        if not self._lasts:
            self._lasts.append(number)
            self._numbers.append(array("d", [number]))
            self._slots.append(array("q", [slot]))
            return
        find = bisect_left if before_equals else bisect_right
        block = min(find(self._lasts, number), len(self._lasts) - 1)
        numbers = self._numbers[block]
        place = find(numbers, number)
        numbers.insert(place, number)
        self._slots[block].insert(place, slot)
        if len(numbers) >= 2 * BLOCK:
            self._cut(block)
        elif place == len(numbers) - 1:
            self._lasts[block] = number

    def _cut(self, block: int) -> None:
        """Make two blocks of one."""
        numbers, slots = self._numbers[block], self._slots[block]
        self._numbers[block : block + 1] = [numbers[:BLOCK], numbers[BLOCK:]]
        self._slots[block : block + 1] = [slots[:BLOCK], slots[BLOCK:]]
        self._lasts[block : block + 1] = [numbers[BLOCK - 1], numbers[-1]]

    def pop_last(self) -> tuple[float, int]:
        """Take out the last row: its number and slot."""
        return self._pop(len(self._lasts) - 1, -1)

    def remove(self, number: float, slot: int) -> None:
        """Take out a row that is there."""
        block = bisect_left(self._lasts, number)
        place = bisect_left(self._numbers[block], number)
        while self._slots[block][place] != slot:
            place += 1
            if place == len(self._slots[block]):
                block, place = block + 1, 0
        found = self._pop(block, place)
        assert found == (number, slot), "only what is there is taken out"

    def _pop(self, block: int, place: int) -> tuple[float, int]:
        numbers = self._numbers[block]
        row = numbers.pop(place), self._slots[block].pop(place)
        if numbers:
            self._lasts[block] = numbers[-1]
        else:
            del self._numbers[block], self._slots[block], self._lasts[block]
        self._count, self._ends = self._count - 1, None
        return row
