"""Rows that are predicted again and again, in the same minibatches each time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from clrun.device.rows import DeviceRows, Rows, rows_at_once
from clrun.device.rows import hold as held_on
from clrun.images.altered_rows import joined
from clrun.images.patterns import Patterns
from clrun.streams.experience import Benchmark, Experience

Hold = Callable[[Rows], DeviceRows]
"""What brings rows to a device: `Device.hold`."""
Look = Callable[[], None]
"""What may end an evaluation between two minibatches: nothing is half done there."""
RowsOf = Callable[[Experience], Patterns]
"""Which rows of an experience are predicted."""
ON_CPU: Hold = partial(held_on, device=torch.device("cpu"))


def look_away() -> None:
    """Look for nothing."""


@dataclass(frozen=True, kw_only=True)
class Feed:
    """How rows come to what predicts them."""

    minibatch: int
    """rows at once, at most: of large images `hold` may hand over fewer"""
    hold: Hold = ON_CPU
    """to where they are predicted"""
    look: Look = look_away
    """called before each minibatch is predicted; what it raises ends the evaluation"""


class Asked(NamedTuple):
    """What is to be predicted for an evaluation of some experiences."""

    minibatches: Iterator[Rows]
    """the images"""
    y: Tensor
    """[N] int64: the labels of all"""
    sizes: Tensor
    """[experiences] int64: rows of each; those after them share a minibatch and do not count"""
    packs: Sequence[Pack]
    """what they are in"""

    @property
    def experience(self) -> Tensor:
        """[N] int64: the place in the stream of the experience of each row."""
        sizes = torch.cat([pack.sizes for pack in self.packs])
        return torch.arange(len(sizes)).repeat_interleave(sizes)

    @property
    def counted(self) -> Tensor:
        """[n] int64: the labels of the rows that count, which are the first."""
        return self.y[: int(self.sizes.sum())]


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

    def asked(self, last: int, benchmark: Benchmark, feed: Feed) -> Asked:
        """The rows of the first `last` experiences, and of those in one pack with them."""
        packs = [pack for pack in self._all(benchmark, feed.minibatch) if pack.first < last]
        return Asked(
            self._minibatches(packs, feed),
            torch.cat([pack.y for pack in packs]),
            torch.cat([pack.sizes for pack in packs])[:last],
            packs,
        )

    def _all(self, benchmark: Benchmark, minibatch: int) -> list[Pack]:
        if self._found is None or self._found[:2] != (benchmark, minibatch):
            packs = list(packed(benchmark.experiences, self._rows, minibatch))
            self._found = benchmark, minibatch, packs
        return self._found[2]

    def _minibatches(self, packs: Sequence[Pack], feed: Feed) -> Iterator[Rows]:
        """The images in order; those of one pack after another are held, where they do not stay."""
        for pack in packs:
            for x in self._held(pack, feed.hold).in_order(feed.minibatch):
                feed.look()
                yield x

    def _held(self, pack: Pack, hold: Hold) -> DeviceRows:
        held = self._resident.get(pack)
        if held is None:
            parts = [self._rows(experience).x for experience in pack.experiences]
            held = hold(parts[0] if len(parts) == 1 else joined(parts))
        if held.indices_on.type != "cpu":
            self._resident[pack] = held
        return held


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
