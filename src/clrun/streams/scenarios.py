"""Cut labelled data into a stream: from labels to the rows of each experience.

Names as in van de Ven & Tolias 2019 (https://arxiv.org/abs/1904.07734) and Lomonaco & Maltoni 2017
(https://arxiv.org/abs/1705.03550): new classes (nc), new instances of known classes (ni), and new
instances and classes (nic), here as NICv2 in Lomonaco et al. 2019 (https://arxiv.org/abs/1907.03799).
Rows come in ascending order throughout: shuffling them is the training's business.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from clrun.images.patterns import occurrence
from clrun.streams.class_counts import class_counts


def arrange_classes(
    num_classes: int, class_order: str | Sequence[int | str], rng: Generator
) -> tuple[int, ...]:
    """The order in which the classes come: `fixed` (ascending), `shuffled`, or as listed."""
    if class_order == "fixed":
        return tuple(range(num_classes))
    if class_order == "shuffled":
        return tuple(torch.randperm(num_classes, generator=rng).tolist())
    assert not isinstance(class_order, str), class_order
    return tuple(int(label) for label in class_order)


def class_groups(
    num_classes: int,
    n_experiences: int,
    first_experience_classes: int | None,
    classes_per_experience: Sequence[int] | None,
    order: Sequence[int],
) -> list[tuple[int, ...]]:
    """The classes of each experience, taken from `order` one after another.

    Raises:
        ValueError: the counts are no partition of the classes (see `class_counts`).
    """
    left = iter(order)
    counts = class_counts(
        num_classes, n_experiences, first_experience_classes, classes_per_experience
    )
    return [tuple(next(left) for _ in range(count)) for count in counts]


def new_classes(y: Tensor, groups: Sequence[Sequence[int]]) -> list[Tensor]:
    """The rows of each group of classes. [N] int64 -> [n_k] int64 each"""
    return [torch.isin(y, y.new_tensor(list(group))).nonzero().flatten() for group in groups]


def new_instances(y: Tensor, n_experiences: int, rng: Generator) -> list[Tensor]:
    """Every row in exactly one experience, at random. [N] int64 -> [n_k] int64 each

    Shares are equal within one row, of each class and in all.
    """
    shuffled = torch.randperm(len(y), generator=rng)
    # Dealt out like cards, class after class: the next class goes on where the last one stopped.
    by_class = shuffled[y[shuffled].argsort(stable=True)]
    return [by_class[k::n_experiences].sort().values for k in range(n_experiences)]


def arrange_units(
    first_classes: Sequence[int], num_classes: int, num_sessions: int, rng: Generator
) -> Tensor:
    """The experience of each class and session. -> [num_classes, num_sessions] int64

    The first session of each of `first_classes` is in experience 0; every other unit of a class
    and a session has an experience to itself, at random.
    """
    experience = torch.zeros(num_classes, num_sessions, dtype=torch.int64)
    later = torch.ones(num_classes, num_sessions, dtype=torch.bool)
    later[list(first_classes), 0] = False
    experience[later] = 1 + torch.randperm(int(later.sum()), generator=rng)
    return experience


def new_units(y: Tensor, experience_of: Tensor, rng: Generator) -> list[Tensor]:
    """Every row in the experience of its class and session. [N] int64 -> [n_k] int64 each

    The rows of a class are dealt to its sessions at random, in shares equal within one row.
    `experience_of` as from `arrange_units`.
    """
    shuffled = torch.randperm(len(y), generator=rng)
    session = torch.empty_like(y)
    session[shuffled] = occurrence(y[shuffled]) % experience_of.shape[1]
    return by_experience(experience_of[y, session], int(experience_of.max()) + 1)


def by_experience(experience: Tensor, n_experiences: int) -> list[Tensor]:
    """The rows of each experience, ascending. [N] int64 -> [n_k] int64 each"""
    sizes = torch.bincount(experience, minlength=n_experiences)
    return list(experience.argsort(stable=True).split(sizes.tolist()))


def hold_out(y: Tensor, fraction: float, rng: Generator) -> tuple[Tensor, Tensor]:
    """Rows to keep and rows held out, at random: floor(fraction) of each class is held out.

    A class always keeps a row, since `fraction` < 1.
    """
    shuffled = torch.randperm(len(y), generator=rng)
    drawn = y[shuffled]
    # 1e-9: a tenth of 30 is three, whatever binary fractions make of it
    shares = (torch.bincount(drawn).double() * fraction + 1e-9).floor()
    held = occurrence(drawn) < shares[drawn]
    return shuffled[~held].sort().values, shuffled[held].sort().values


def limit_per_class(y: Tensor, limit: int) -> Tensor:
    """The first `limit` rows of each class. [N] int64 -> [n] int64"""
    return (occurrence(y) < limit).nonzero().flatten()
