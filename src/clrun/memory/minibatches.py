"""Which current and memory rows each minibatch of an epoch is made of, planned before it starts.

A plan is a function of its generator, and any of its minibatches can be read without the ones
before, so a run can go on in the middle of an epoch. With an empty memory every plan is one pass
over the current rows.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Generator, Tensor

from clrun.memory.composition import Composition
from clrun.memory.group_schedule import GroupSchedule, fixed, rotating, scheduled_rows
from clrun.memory.groups import grouped, members


class Minibatch(NamedTuple):
    """Indices of the rows of one minibatch, int64."""

    current: Tensor
    """[b] rows of the current experience"""
    memory: Tensor
    """[m] rows of the memory"""


class EpochPlan:
    """The minibatches of one epoch, in order."""

    def __init__(self, current: list[Tensor], memory: list[Tensor]) -> None:
        assert len(current) == len(memory)
        self.current, self.memory = current, memory

    def __len__(self) -> int:
        return len(self.current)

    def __getitem__(self, iteration: int) -> Minibatch:
        return Minibatch(self.current[iteration], self.memory[iteration])


class _Layout(NamedTuple):
    """The groups of an epoch, and how it ends."""

    current: GroupSchedule
    memory: GroupSchedule
    once: bool
    """each current row exactly once: the last minibatch may be short"""
    ends_balanced: bool
    """in a short last minibatch no memory group gives more rows than there are current ones"""


def plan_epoch(
    composition: Composition,
    current_y: Tensor,
    memory_y: Tensor,
    memory_experience: Tensor,
    rng: Generator,
) -> EpochPlan:
    """Plan one epoch over the current rows (classes [N]) and the memory's (classes [M]).

    Every group cycles through fresh permutations of its rows, so that each of them is used equally
    often within one. The plan has an entry for every update.

    Raises:
        ConfigError: more groups share a minibatch than it has rows.
    """
    assert len(current_y), "an experience has rows"
    layout = _layout(composition, current_y, memory_y, memory_experience, rng)
    current, memory = layout.current, layout.memory
    iterations, passes = current.iterations(), composition.updates_per_minibatch
    if composition.epoch_length == "longest" and len(memory.counts):
        iterations = max(iterations, -(-memory.iterations() // passes))
    last = len(current_y) - (iterations - 1) * int(current.size[0]) if layout.once else None
    if last is not None and composition.drop_last and iterations > 1 and last < current.size[0]:
        iterations, last = iterations - 1, None
    current_sizes, memory_sizes = current.sizes(iterations), memory.sizes(iterations * passes)
    if last is not None:
        current_sizes[0, -1] = last
        if layout.ends_balanced:
            memory_sizes[:, -passes:].clamp_(max=last)
    rows = scheduled_rows(current, current_sizes, rng)
    return EpochPlan(
        current=[each for each in rows for _ in range(passes)],
        memory=scheduled_rows(memory, memory_sizes, rng),
    )


def _layout(
    c: Composition, current_y: Tensor, memory_y: Tensor, memory_experience: Tensor, rng: Generator
) -> _Layout:
    everything = torch.arange(len(current_y))
    if len(memory_y) == 0:
        current = fixed([everything], [c.train_mb_size])
        return _Layout(current, fixed([], []), once=True, ends_balanced=False)
    if c.shared_by_group and c.balance == "class":
        return _by_class(c, current_y, memory_y, memory_experience)
    once = c.epoch_length == "current"
    if c.shared_by_group:
        rows, counts = grouped(-memory_experience)  # newest first
        size, *shares = c.split(1 + len(counts))
        memory = GroupSchedule(rows, counts, torch.tensor(shares), torch.arange(len(counts)))
        return _Layout(fixed([everything], [size]), memory, once, ends_balanced=True)
    size, memory_size = c.two_sizes()
    ids = {"experience": memory_experience, "class": memory_y, "none": torch.zeros_like(memory_y)}
    memory = rotating(*grouped(ids[c.balance]), memory_size, rng)
    return _Layout(fixed([everything], [size]), memory, once, ends_balanced=False)


def _by_class(
    c: Composition, current_y: Tensor, memory_y: Tensor, memory_experience: Tensor
) -> _Layout:
    """Equal shares for all classes; one that is both current and in memory splits its share."""
    new, old = members(current_y), members(memory_y)
    newest_first = sorted(old, key=lambda k: (int(memory_experience[old[k]].max()), k))[::-1]
    classes = list(dict.fromkeys([*new, *newest_first]))
    share = dict(zip(classes, c.split(len(classes)), strict=True))
    replayed = {k: share[k] // 2 if k in new else share[k] for k in classes if k in old}
    remembered = [k for k, size in replayed.items() if size]
    return _Layout(
        fixed([new[k] for k in new], [share[k] - replayed.get(k, 0) for k in new]),
        fixed([old[k] for k in remembered], [replayed[k] for k in remembered]),
        once=False,
        ends_balanced=False,
    )


def draw(groups: Tensor | None, available: int, size: int, rng: Generator) -> Tensor:
    """Indices of `size` of the `available` rows of a memory that has no epochs. [size] int64

    `groups` [available] get equal shares within one, the ones with one more drawn by lot; None
    draws uniformly. A row is drawn again only when all of its group's have been. An empty memory
    gives no rows.
    """
    if available == 0:
        return torch.empty(0, dtype=torch.int64)
    shuffled = torch.randperm(available, generator=rng)
    if groups is None:
        return shuffled[torch.arange(size) % available]
    assert len(groups) == available
    shuffled = shuffled[groups[shuffled].argsort(stable=True)]  # by group, random within
    counts = groups.unique(return_counts=True)[1]
    share, extra = divmod(size, len(counts))
    shares = torch.full_like(counts, share)
    shares[torch.randperm(len(counts), generator=rng)[:extra]] += 1
    group = torch.arange(len(counts)).repeat_interleave(shares)
    place = torch.arange(size) - (shares.cumsum(0) - shares)[group]
    first = counts.cumsum(0) - counts
    return shuffled[first[group] + place % counts[group]]
