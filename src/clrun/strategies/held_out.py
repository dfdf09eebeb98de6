"""Rows that are never trained on: what a head that favours new classes is corrected by.

A tenth of the memory's places are theirs. When an experience begins, as many rows of each class
that is new are left out of it as each old class has places; when it is over they are kept, and all
classes share the places equally. So no row that tells how the model does on unseen ones was ever
learnt, in this experience or an earlier one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from clrun.images.patterns import Patterns, occurrence
from clrun.memory.table import Table, concatenate, empty
from clrun.seeds import generator
from clrun.streams.experience import Experience


class HeldOut:
    """The rows held out so far, and those of the experience in progress."""

    def __init__(self, places: int, seed: int) -> None:
        self.places, self.seed = places, seed
        self.rows = empty(x=torch.empty((0, 0, 0, 0), dtype=torch.uint8))
        """held out of earlier experiences"""
        self.current = self.rows
        """held out of the experience in progress"""

    def left(self, experience: Experience, seen: Collection[int]) -> Experience:
        """The experience without the rows that are held out of it, which are `current` now."""
        x, y = experience.train
        held = _held(y, seen, self.places, self.seed, experience.index)
        out, rest = held.nonzero().flatten(), (~held).nonzero().flatten()
        rng = generator(self.seed, "keys of held-out rows", experience.index)
        keys = torch.rand(len(out), generator=rng, dtype=torch.float64)
        of = torch.full_like(out, experience.index)
        self.current = Table(y[out], of, keys, {"x": x.index_select(0, out)})
        if not len(out):
            return experience
        return replace(experience, train=Patterns(x[rest], y[rest]))

    @property
    def all(self) -> Table:
        """Every row that is held out now."""
        return concatenate([self.rows, self.current])

    def end(self, seen: Collection[int]) -> None:
        """Keep those of the experience, all classes with an equal share of the places."""
        rows = self.all
        rows = rows.select(rows.key.argsort())
        fits = occurrence(rows.y) < self.places // max(1, len(seen))
        self.rows = rows.select(fits.nonzero().flatten())
        self.current = self.rows.without_rows()


def left_to_learn(labels: Sequence[Tensor], places: int, seed: int) -> Iterator[Tensor]:
    """What is left of the labels of each experience of a stream, where so many places are kept."""
    seen: set[int] = set()
    for index, y in enumerate(labels):
        yield y[~_held(y, seen, places, seed, index)]
        seen |= set(y.tolist())


def _held(y: Tensor, seen: Collection[int], places: int, seed: int, experience: int) -> Tensor:
    """Which rows are held out: of each class that is new, as many as one has places, but at most
    half of what there is. [N] bool"""
    counts = torch.bincount(y)
    new = counts > 0
    new[[c for c in seen if c < len(new)]] = False
    share = places // max(1, len(seen) or int(new.sum()))
    most = torch.where(new, (counts // 2).clamp(max=share), 0)
    order = torch.randperm(len(y), generator=generator(seed, "held-out rows", experience))
    held = torch.empty(len(y), dtype=torch.bool)
    held[order] = occurrence(y[order]) < most[y[order]]
    return held
