"""Storage policies: which rows have a place in the memory.

A policy is a pure function of the rows held and the rows offered. It owns no rows and remembers
nothing, so the memory's rows are all there is to save. It answers with row numbers: the rows held
come first, then those offered, as if both were one table.

What it may look at are columns. All rows have `y`, `experience` and `key`; others are there where
the strategy gives them, and are read by name: `new["loss"]` is what was stored when the row was
offered, or what the strategy measures when it is asked (`Table.measures`), by the weights of now.

A group's age is its place in the memory: the groups held come first, in their order, then those
that arrive, by id. For experiences that is their number; for classes the order of their first
appearance, whatever comes back later. A class that lost its last row is forgotten with it, and is
new when it comes back; that needs more classes than places.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from clrun.config.bounds import Count
from clrun.config.keys import Known
from clrun.memory.groups import members, runs
from clrun.memory.policy_keys import PolicyKeys
from clrun.memory.quotas import check_total, fixed_shares, shares, without_room
from clrun.memory.table import Table, concatenate

Order = Callable[[Table, int], Tensor]
"""(the rows of one group, k) -> indices of the best k of them, best first, [k] int64"""
Quotas = Callable[[Sequence[int], int], list[int]]
"""(rows available in each group, oldest group first; mem_size) -> rows to keep of each"""


class StoragePolicy(ABC):
    """Who gets a place.

    A class of another package need not inherit: what it does not declare comes from here.
    """

    uses_selection: ClassVar[bool] = False
    """True: `keep` asks `order` which rows are best. Unless a policy says so, it is refused beside
    a selection that ranks rows: one that is ignored without a word would be worse."""

    @abstractmethod
    def keep(self, held: Table, new: Table, mem_size: int, order: Order) -> Tensor:
        """Numbers of the rows to hold from now on, in the memory's order. [at most mem_size] int64

        Row n of `held` has number n, row n of `new` has number len(held) + n. `held` are the rows
        that the last answer named, in that order.
        """


class ExperienceBalancedStoragePolicy(StoragePolicy):
    """An equal share for each experience."""

    uses_selection: ClassVar[bool] = True

    @dataclass(frozen=True, kw_only=True)
    class Config(PolicyKeys):
        adaptive_size: bool
        num_experiences: Count | None

        def __post_init__(self) -> None:
            check_total("num_experiences", self.num_experiences, self.adaptive_size)

        def conflicts(self, known: Known) -> Iterator[str]:
            """A fixed share of the memory must do for each experience."""
            if self.num_experiences is not None:
                key, mem_size = "storage_policy.num_experiences", known.value("strategy.mem_size")
                yield from without_room(key, self.num_experiences, known.experiences, mem_size)

    def __init__(self, config: Config) -> None:
        self.total = "storage_policy.num_experiences", config.num_experiences
        self.quotas = _quotas(*self.total)

    def keep(self, held: Table, new: Table, mem_size: int, order: Order) -> Tensor:
        groups = _Groups(held, new, runs(held.experience), members(new.experience))
        return groups.keep(self.quotas, mem_size, order)


class ClassBalancedStoragePolicy(StoragePolicy):
    """An equal share for each class, whichever experiences its rows come from."""

    uses_selection: ClassVar[bool] = True

    @dataclass(frozen=True, kw_only=True)
    class Config(PolicyKeys):
        adaptive_size: bool
        total_num_classes: Count | None

        def __post_init__(self) -> None:
            check_total("total_num_classes", self.total_num_classes, self.adaptive_size)

        def conflicts(self, known: Known) -> Iterator[str]:
            """A fixed share of the memory must do for each class."""
            if self.total_num_classes is not None:
                key, mem_size = "storage_policy.total_num_classes", known.value("strategy.mem_size")
                yield from without_room(key, self.total_num_classes, known.classes, mem_size)

    def __init__(self, config: Config) -> None:
        self.total = "storage_policy.total_num_classes", config.total_num_classes
        self.quotas = _quotas(*self.total)

    def keep(self, held: Table, new: Table, mem_size: int, order: Order) -> Tensor:
        groups = _Groups(held, new, runs(held.y), members(new.y))
        return groups.keep(self.quotas, mem_size, order)


class ReservoirStoragePolicy(StoragePolicy):
    """An equal chance for every row ever offered: the rows with the largest keys stay.

    Vitter 1985, "Random sampling with a reservoir", https://doi.org/10.1145/3147.3165. Ranking by a
    key that stays with the row needs no count of the rows seen. There are no groups to select in.
    """

    uses_selection: ClassVar[bool] = False

    @dataclass(frozen=True, kw_only=True)
    class Config(PolicyKeys):
        pass

    def __init__(self, config: Config) -> None:
        self.config = config

    def keep(self, held: Table, new: Table, mem_size: int, order: Order) -> Tensor:
        keys = torch.cat([held.key, new.key])
        return keys.argsort(descending=True, stable=True)[:mem_size]


class LatentReplacementStoragePolicy(StoragePolicy):
    """AR1's rule: the newest experience gets free places, and the places of random old rows.

    Pellegrini et al. 2020 (https://arxiv.org/abs/1912.01100), algorithm 1: of experience i, counted
    from 0, mem_size // (i + 1) rows are stored, so that all experiences have about the same share.
    What differs from the published code: free places are filled before any row is replaced.

    Experiences are offered whole. No row that stays changes its place, so a memory is filled in
    place. Rows held have the column `lot`, drawn anew for each offer: the lowest are replaced.
    """

    def keep(self, held: Table, new: Table, mem_size: int, order: Order) -> Tensor:
        if len(new) == 0:
            return torch.arange(len(held))
        free = mem_size - len(held)
        share = mem_size // (int(new.experience[0]) + 1)
        stored = order(new, min(len(new), max(free, share))).sort().values
        replaced = held["lot"].argsort()[: max(len(stored) - free, 0)]
        rows = len(held) + len(stored) - len(replaced)
        numbers = torch.arange(rows)
        numbers[torch.cat([numbers[len(held) :], replaced])] = len(held) + stored
        return numbers


@dataclass(frozen=True)
class _Groups:
    """Everything that competes for a place, by group."""

    held: Table
    new: Table
    held_runs: dict[int, tuple[int, int]]
    new_members: dict[int, Tensor]

    def keep(self, quotas: Quotas, mem_size: int, order: Order) -> Tensor:
        """The quota of each group: its order's best if it has new rows, else its first rows."""
        held = {group: stop - start for group, (start, stop) in self.held_runs.items()}
        groups = list(dict.fromkeys([*held, *self.new_members]))
        available = [held.get(g, 0) + len(self.new_members.get(g, ())) for g in groups]
        kept: list[Tensor] = []
        old: list[tuple[int, int]] = []  # (first row, rows) of groups without new rows, all at once
        for group, quota in zip(groups, quotas(available, mem_size), strict=True):
            if group not in self.new_members:
                old.append((self.held_runs[group][0], quota))
            elif quota:
                kept += [_spans(old), self._best(group, quota, order)]
                old = []
        return torch.cat([*kept, _spans(old)])

    def _best(self, group: int, quota: int, order: Order) -> Tensor:
        """Numbers of the rows to keep of a group with new ones, best first. [quota]"""
        start, stop = self.held_runs.get(group, (0, 0))
        held_rows = torch.arange(start, stop)
        new_rows = self.new_members[group]
        best = order(self._pool(start, stop, new_rows), quota)
        assert len(best) == quota, f"the order gave {len(best)} rows for {quota} places"
        return torch.cat([held_rows, new_rows + len(self.held)])[best]

    def _pool(self, start: int, stop: int, new_rows: Tensor) -> Table:
        """The rows of one group: those held, in their order, then the new ones."""
        # a whole experience is one group, and too large to copy without need
        new = self.new if len(new_rows) == len(self.new) else self.new.select(new_rows)
        return new if start == stop else concatenate([self.held.span(start, stop), new])


def _spans(spans: Sequence[tuple[int, int]]) -> Tensor:
    """The numbers from `first` on, `rows` of them, for each (first, rows) after the other."""
    if not spans:  # between most groups of an online offer: not worth six operations
        return torch.empty(0, dtype=torch.int64)
    first, rows = torch.tensor(spans, dtype=torch.int64).unbind(1)
    ends = rows.cumsum(0)
    return torch.arange(int(rows.sum())) + (first - ends + rows).repeat_interleave(rows)


def _quotas(key: str, total: int | None) -> Quotas:
    """Fixed quotas if the total number of groups is given, else adaptive ones."""
    if total is None:
        return shares
    return lambda available, mem_size: fixed_shares(available, mem_size, total, key=key)
