"""Lanes: the rows of each group, and how many of them go into each minibatch of an epoch.

Everything is computed for all lanes at once: late in a stream there are many, with few rows each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Generator, Tensor


class Lanes(NamedTuple):
    """The rows of some groups on their way into the minibatches.

    Besides its `size` rows in every minibatch, `extra` more go round among the lanes, each of which
    has its `turn` in the round.
    """

    rows: Tensor
    """[n] int64 row indices, lane after lane"""
    counts: Tensor
    """[L] int64 rows of each lane, at least one"""
    size: Tensor
    """[L] int64"""
    turn: Tensor
    """[L] int64, 0 .. L-1"""
    extra: int = 0

    def iterations(self) -> int:
        """Minibatches after which every row of every lane has been used."""
        per_round = self.size * len(self.counts) + self.extra
        needed = (self.counts * len(self.counts) + per_round - 1) // per_round
        return int(needed.max())

    def sizes(self, iterations: int) -> Tensor:
        """Rows in each minibatch. [L, iterations] int64"""
        groups = len(self.counts)
        dealt = torch.arange(iterations + 1) * self.extra
        received = (dealt - self.turn[:, None] + groups - 1).div(groups, rounding_mode="floor")
        return self.size[:, None] + received.diff(dim=1)


def lanes(groups: Sequence[Tensor], sizes: Sequence[int]) -> Lanes:
    """A lane for each group's rows, with so many of them in every minibatch."""
    counts = torch.tensor([len(rows) for rows in groups], dtype=torch.int64)
    rows = torch.cat(list(groups)) if groups else torch.empty(0, dtype=torch.int64)
    return Lanes(rows, counts, torch.tensor(sizes, dtype=torch.int64), torch.arange(len(counts)))


def rotating(rows: Tensor, counts: Tensor, size: int, rng: Generator) -> Lanes:
    """Lanes that share `size` rows of each minibatch within one, and evenly over the epoch."""
    groups = len(counts)
    share, extra = divmod(size, groups)
    first = int(torch.randint(groups, (1,), generator=rng))
    turn = (first + torch.arange(groups)) % groups
    return Lanes(rows, counts, torch.full_like(counts, share), turn, extra)


def shuffled_cycles(rows: Tensor, counts: Tensor, totals: Tensor, rng: Generator) -> Tensor:
    """`totals` [L] entries of each lane's rows: one fresh permutation after the other.

    `rows` [n] are those of all lanes, `counts` [L] of each. [totals.sum()]
    """
    passes = (totals + counts - 1) // counts
    drawn = passes * counts
    length = counts.repeat_interleave(passes)  # of each permutation
    permutation = torch.arange(len(length)).repeat_interleave(length)
    draws = torch.rand(len(permutation), generator=rng, dtype=torch.float64)
    order = draws.argsort()
    if len(length) > 1:
        order = order[permutation[order].argsort(stable=True)]
    lane = torch.arange(len(counts)).repeat_interleave(passes)
    start_of_rows = (counts.cumsum(0) - counts)[lane]
    start_of_draws = length.cumsum(0) - length
    cycled = rows[order + (start_of_rows - start_of_draws)[permutation]]
    place = torch.arange(len(cycled)) - (drawn.cumsum(0) - drawn).repeat_interleave(drawn)
    return cycled[place < totals.repeat_interleave(drawn)]


def dealt(found: Lanes, sizes: Tensor, rng: Generator) -> list[Tensor]:
    """The rows of each minibatch, lane after lane, for the lanes' `sizes` [L, iterations]."""
    iterations = sizes.shape[1]
    if len(sizes) == 0:
        return [torch.empty(0, dtype=torch.int64)] * iterations
    rows = shuffled_cycles(found.rows, found.counts, sizes.sum(1), rng)
    into = torch.arange(iterations).repeat(len(sizes)).repeat_interleave(sizes.flatten())
    return list(rows[into.argsort(stable=True)].split(sizes.sum(0).tolist()))
