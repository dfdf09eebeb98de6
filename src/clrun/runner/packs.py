"""Rows that are predicted again and again, in the same minibatches each time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from clrun.device.rows import DeviceRows, Rows, rows_at_once
from clrun.images.altered_rows import joined
from clrun.images.patterns import Patterns
from clrun.streams.experience import Benchmark, Experience

Hold = Callable[[Rows], DeviceRows]
"""What brings rows to a device: `Device.hold`."""
RowsOf = Callable[[Experience], Patterns]
"""Which rows of an experience are predicted."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Pack:
    """Neighbouring experiences whose rows are predicted together."""

    first: int
    """the place of the first in the stream"""
    experiences: Sequence[Experience]
    sizes: Tensor
    """[experiences] int64: rows of each"""
    y: Tensor
    """[N] int64: the labels of all"""


class Packs:
    """Those of a stream, found once. Rows that fit on a device stay there."""

    def __init__(self, rows: RowsOf) -> None:
        self._rows = rows
        self._resident: dict[Pack, DeviceRows] = {}
        self._found: tuple[Benchmark, int, list[Pack]] | None = None  # of a minibatch's size

    def before(self, last: int, benchmark: Benchmark, minibatch: int) -> list[Pack]:
        """The packs with rows of the first `last` experiences."""
        if self._found is None or self._found[:2] != (benchmark, minibatch):
            packs = list(packed(benchmark.experiences, self._rows, minibatch))
            self._found = benchmark, minibatch, packs
        return [pack for pack in self._found[2] if pack.first < last]

    def minibatches(self, pack: Pack, size: int, hold: Hold) -> Iterable[Rows]:
        """The images, in order."""
        held = self._resident.get(pack)
        if held is None:
            parts = [self._rows(experience).x for experience in pack.experiences]
            held = hold(parts[0] if len(parts) == 1 else joined(parts))
        if held.indices_on.type != "cpu":
            self._resident[pack] = held
        return held.in_order(size)


def packed(experiences: Sequence[Experience], rows: RowsOf, minibatch: int) -> Iterator[Pack]:
    """The experiences in order, as many in a pack as have no more rows than a minibatch together.

    One with more rows than that is alone, and so cut into minibatches as if there were no other.
    """
    labels: list[Tensor] = []
    first = held = 0
    for place, experience in enumerate(experiences):
        x, y = rows(experience)
        if place > first and held + len(y) > rows_at_once(minibatch, x, torch.device("cpu")):
            yield _pack(first, experiences[first:place], labels)
            labels, first, held = [], place, 0
        labels.append(y)
        held += len(y)
    yield _pack(first, experiences[first:], labels)


def _pack(first: int, experiences: Sequence[Experience], labels: Sequence[Tensor]) -> Pack:
    sizes = torch.tensor([len(y) for y in labels], dtype=torch.int64)
    return Pack(first=first, experiences=experiences, sizes=sizes, y=torch.cat(list(labels)))
