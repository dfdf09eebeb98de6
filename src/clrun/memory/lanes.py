"""Lanes: the rows of one group, and how many of them go into each minibatch of an epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Generator, Tensor


class Lane(NamedTuple):
    """One group's rows on their way into the minibatches.

    Besides `size` rows in every minibatch, `extra` more go round among `groups` lanes, this one
    being number `turn` in the round.
    """

    rows: Tensor
    """[n] int64 row indices, at least one"""
    size: int
    extra: int = 0
    groups: int = 1
    turn: int = 0

    def iterations(self) -> int:
        """Minibatches after which every row has been used."""
        per_round = self.size * self.groups + self.extra
        return -(-len(self.rows) * self.groups // per_round)

    def sizes(self, iterations: int) -> Tensor:
        """Rows in each minibatch. [iterations] int64"""
        dealt = torch.arange(iterations + 1) * self.extra
        received = (dealt - self.turn + self.groups - 1).div(self.groups, rounding_mode="floor")
        return self.size + received.diff()


def rotating(groups: Sequence[Tensor], size: int, rng: Generator) -> list[Lane]:
    """Lanes that share `size` rows of each minibatch within one, and evenly over the epoch."""
    share, extra = divmod(size, len(groups))
    first = int(torch.randint(len(groups), (1,), generator=rng))
    turns = [(first + position) % len(groups) for position in range(len(groups))]
    return [
        Lane(rows, share, extra, len(groups), turn)
        for rows, turn in zip(groups, turns, strict=True)
    ]


def shuffled_cycles(rows: Tensor, total: int, rng: Generator) -> Tensor:
    """`total` entries of `rows`: one fresh permutation after the other. [total]"""
    passes = -(-total // len(rows))
    draws = torch.rand(passes, len(rows), generator=rng, dtype=torch.float64)
    return rows[draws.argsort(dim=1).flatten()[:total]]


def dealt(
    lanes: Sequence[Lane], sizes: Sequence[Tensor], iterations: int, rng: Generator
) -> list[Tensor]:
    """The rows of each minibatch, lane after lane, for the lanes' `sizes` [iterations]."""
    if not lanes:
        return [torch.empty(0, dtype=torch.int64)] * iterations
    rows = [
        shuffled_cycles(lane.rows, int(size.sum()), rng)
        for lane, size in zip(lanes, sizes, strict=True)
    ]
    into = [torch.arange(iterations).repeat_interleave(size) for size in sizes]
    by_minibatch = torch.cat(rows)[torch.cat(into).argsort(stable=True)]
    return list(by_minibatch.split(torch.stack(list(sizes)).sum(0).tolist()))
