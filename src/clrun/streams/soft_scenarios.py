"""Streams in which a class is not confined to one experience, or not all of it is used.

From the labels of all rows to the experience of each. `step` is the experience in which each class
would come if classes were new (`steps_of`); the scenarios differ in how they soften that.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from clrun.images.patterns import occurrence


def steps_of(groups: Sequence[Sequence[int]]) -> Tensor:
    """The step of each class, from the classes of each step. -> [num_classes] int64"""
    step = torch.empty(sum(len(group) for group in groups), dtype=torch.int64)
    for k, group in enumerate(groups):
        step[list(group)] = k
    return step


def online(y: Tensor, step: Tensor, rows_per_experience: int, rng: Generator) -> Tensor:
    """Minibatches as experiences, cut from the steps one after another. [N] -> [N] int64

    The rows of a step come in random order; a minibatch may hold the end of one step and the
    beginning of the next, and only the last one may be smaller. As the single-pass streams of
    Aljundi et al. 2019 (https://arxiv.org/abs/1908.04742).
    """
    shuffled = torch.randperm(len(y), generator=rng)
    order = shuffled[step[y[shuffled]].argsort(stable=True)]
    experience = torch.empty_like(y)
    experience[order] = torch.arange(len(y)) // rows_per_experience
    return experience


def blurry(y: Tensor, step: Tensor, blur: float, rng: Generator) -> Tensor:
    """A share of each class, floor(blur * its rows), leaks into other steps. [N] -> [N] int64

    What leaks is drawn at random and dealt to all other steps in shares equal within one row:
    Blurry-M of Bang et al. 2021 (https://arxiv.org/abs/2103.17230) with M = 100 * blur, and the
    blurry part of Koh et al. 2022 (https://arxiv.org/abs/2110.10031).
    """
    steps = int(step.max()) + 1
    rank = shuffled_occurrence(y, rng)
    leaks = rank < _floor(torch.bincount(y).double() * blur)[y]
    return (step[y] + torch.where(leaks, 1 + rank % (steps - 1), 0)) % steps


def come_back(step: Tensor, repetition_p: float, rng: Generator) -> Tensor:
    """In which steps each class occurs: its own, and each later one with a probability.

    -> [num_classes, steps] bool. The sampling-based generator of Hemati et al. 2023
    (https://arxiv.org/abs/2301.11396), with given first occurrences and one probability for all.
    """
    steps = int(step.max()) + 1
    again = torch.rand(len(step), steps, generator=rng, dtype=torch.float64) < repetition_p
    column, own = torch.arange(steps), step[:, None]
    return (column == own) | (again & (column > own))


def dealt(y: Tensor, occurs: Tensor, rng: Generator) -> Tensor:
    """Rows of each class, at random, in equal shares for the steps it occurs in. [N] -> [N] int64

    Shares are equal within one row, the earlier steps having the larger ones. `occurs` as from
    `come_back`.
    """
    steps = occurs.nonzero()[:, 1]  # class after class
    counts = occurs.sum(1)
    starts = counts.cumsum(0) - counts
    return steps[starts[y] + shuffled_occurrence(y, rng) % counts[y]]


def alike(y: Tensor, experience: Tensor, other: Tensor, rng: Generator) -> Tensor:
    """Other rows dealt out as rows of their classes were. [N], [N], [M] int64 -> [M] int64

    The rows of a class are spread at random over the experiences of its rows in `y`, evenly: where
    there are fewer of them, not every experience has one.
    """
    order = experience.argsort(stable=True)
    order = order[y[order].argsort(stable=True)]  # class after class, in each by experience
    classes = 1 + int(max(y.max(), other.max()))
    there, wanted = (torch.bincount(labels, minlength=classes) for labels in (y, other))
    starts = there.cumsum(0) - there
    rank = shuffled_occurrence(other, rng)
    place = (2 * rank + 1) * there[other] // (2 * wanted[other])
    return experience[order[starts[other] + place]]


def long_tail(y: Tensor, imbalance: float, num_classes: int, rng: Generator) -> Tensor:
    """The rows that are left when class c keeps n_c * imbalance^(-c / (C - 1)) of its n_c rows.

    [N] int64 -> [n] int64, ascending. Rounded down, at least 1; drawn at random. The law of Cui et
    al. 2019 (https://arxiv.org/abs/1901.05555, section 5), by label, so that the order of the
    classes makes the stream of Liu et al. 2022 (https://arxiv.org/abs/2210.00266) an ordered or a
    shuffled one.
    """
    rank = torch.arange(num_classes, dtype=torch.float64) / max(num_classes - 1, 1)
    keep = _floor(torch.bincount(y, minlength=num_classes) * imbalance**-rank).clamp(min=1)
    return (shuffled_occurrence(y, rng) < keep[y]).nonzero().flatten()


def shuffled_occurrence(y: Tensor, rng: Generator) -> Tensor:
    """For each row, how many of its class come before it in a random order. [N] -> [N] int64"""
    shuffled = torch.randperm(len(y), generator=rng)
    rank = torch.empty_like(y)
    rank[shuffled] = occurrence(y[shuffled])
    return rank


def _floor(x: Tensor) -> Tensor:
    """`x` rounded down; a tenth of 30 is three, whatever binary fractions make of it."""
    return (x + 1e-9).floor().long()
