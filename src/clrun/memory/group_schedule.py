"""How many rows of each group go into each minibatch of an epoch, and which.

Everything is computed for all groups at once: late in a stream there are many, with few rows each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Generator, Tensor


class GroupSchedule(NamedTuple):
    """The rows of G groups, and how many of each group go into every minibatch.

    Besides its `size` rows in every minibatch, `extra` more go round among the groups, each of
    which has its `turn` in the round.
    """

    rows: Tensor
    """[n] int64 row indices, group after group"""
    counts: Tensor
    """[G] int64 rows of each group, at least one"""
    size: Tensor
    """[G] int64"""
    turn: Tensor
    """[G] int64, 0 .. G-1"""
    extra: int = 0

    def iterations(self) -> int:
        """Minibatches after which every row of every group has been used."""
        per_round = self.size * len(self.counts) + self.extra
        needed = (self.counts * len(self.counts) + per_round - 1) // per_round
        return int(needed.max())

    def sizes(self, iterations: int) -> Tensor:
        """Rows of each group in each minibatch. [G, iterations] int64"""
        groups = len(self.counts)
        extra_so_far = torch.arange(iterations + 1) * self.extra
        waiting = extra_so_far - self.turn[:, None] + groups - 1
        received = waiting.div(groups, rounding_mode="floor")
        return self.size[:, None] + received.diff(dim=1)


def fixed(groups: Sequence[Tensor], sizes: Sequence[int]) -> GroupSchedule:
    """`sizes` rows of each of the groups [n] int64 in every minibatch."""
    counts = torch.tensor([len(rows) for rows in groups], dtype=torch.int64)
    rows = torch.cat(list(groups)) if groups else torch.empty(0, dtype=torch.int64)
    size = torch.tensor(sizes, dtype=torch.int64)
    return GroupSchedule(rows, counts, size, torch.arange(len(counts)))


def rotating(rows: Tensor, counts: Tensor, size: int, rng: Generator) -> GroupSchedule:
    """Groups that share `size` rows of each minibatch within one, and evenly over the epoch."""
    groups = len(counts)
    share, extra = divmod(size, groups)
    first = int(torch.randint(groups, (1,), generator=rng))
    turn = (first + torch.arange(groups)) % groups
    return GroupSchedule(rows, counts, torch.full_like(counts, share), turn, extra)


def shuffled_cycles(rows: Tensor, counts: Tensor, totals: Tensor, rng: Generator) -> Tensor:
    """`totals` [G] entries of each group's rows: one fresh permutation after the other.

    `rows` [n] are those of all groups, `counts` [G] of each. [totals.sum()]
    """
    passes = (totals + counts - 1) // counts
    drawn = passes * counts
    length = counts.repeat_interleave(passes)  # of each permutation
    permutation = torch.arange(len(length)).repeat_interleave(length)
    draws = torch.rand(len(permutation), generator=rng, dtype=torch.float64)
    order = draws.argsort()
    if len(length) > 1:
        order = order[permutation[order].argsort(stable=True)]
    group = torch.arange(len(counts)).repeat_interleave(passes)
    start_of_rows = (counts.cumsum(0) - counts)[group]
    start_of_draws = length.cumsum(0) - length
    cycled = rows[order + (start_of_rows - start_of_draws)[permutation]]
    place = torch.arange(len(cycled)) - (drawn.cumsum(0) - drawn).repeat_interleave(drawn)
    return cycled[place < totals.repeat_interleave(drawn)]


def scheduled_rows(schedule: GroupSchedule, sizes: Tensor, rng: Generator) -> list[Tensor]:
    """The rows of each minibatch, group after group, for the groups' `sizes` [G, iterations]."""
    iterations = sizes.shape[1]
    if len(sizes) == 0:
        return [torch.empty(0, dtype=torch.int64)] * iterations
    rows = shuffled_cycles(schedule.rows, schedule.counts, sizes.sum(1), rng)
    minibatch = torch.arange(iterations).repeat(len(sizes)).repeat_interleave(sizes.flatten())
    return list(rows[minibatch.argsort(stable=True)].split(sizes.sum(0).tolist()))
