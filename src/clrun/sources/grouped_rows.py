"""Held-out rows by whole groups: what belongs together is never on two sides."""

from __future__ import annotations

from collections import Counter

import torch
from torch import Generator, Tensor


def whole_groups(unit: Tensor, wanted: Tensor, group: Tensor, rng: Generator) -> Tensor:
    """Rows to hold out, all or none of a group, near `wanted` of each unit. -> [N] bool

    A unit always keeps a row. One that wants rows gets some wherever a group can be spared.

    `unit`, `group`: [N] int64, which each row belongs to; `wanted`: [units] int64.
    """
    draft = _Draft(unit, wanted, group)
    groups = list(draft.rows_of)
    shuffled = [groups[k] for k in torch.randperm(len(groups), generator=rng).tolist()]
    for g in shuffled:
        if draft.gain(g) > 0 and draft.can_spare(g):
            draft.take(g)
    for g in sorted(shuffled, key=lambda g: draft.rows_of[g].total()):
        if draft.without & draft.rows_of[g].keys() and draft.can_spare(g):
            draft.take(g)
    return torch.isin(group, torch.tensor(sorted(draft.chosen), dtype=torch.int64))


class _Draft:
    """The groups that are held out so far."""

    def __init__(self, unit: Tensor, wanted: Tensor, group: Tensor) -> None:
        self.rows_of: dict[int, Counter[int]] = {}
        for g, u in zip(group.tolist(), unit.tolist(), strict=True):
            self.rows_of.setdefault(g, Counter())[u] += 1
        self.chosen: set[int] = set()
        self._missing: list[int] = wanted.tolist()
        self._left: list[int] = torch.bincount(unit, minlength=len(wanted)).tolist()
        self.without = {u for u, rows in enumerate(self._missing) if rows}
        """units that want rows and have none"""

    def gain(self, g: int) -> int:
        """How much nearer to the wanted rows the group would bring its units, in rows."""
        missing = self._missing
        return sum(abs(missing[u]) - abs(missing[u] - n) for u, n in self.rows_of[g].items())

    def can_spare(self, g: int) -> bool:
        """Whether the group is there, and each of its units would keep a row without it."""
        return g not in self.chosen and all(self._left[u] > n for u, n in self.rows_of[g].items())

    def take(self, g: int) -> None:
        self.chosen.add(g)
        for u, n in self.rows_of[g].items():
            self._missing[u] -= n
            self._left[u] -= n
            self.without.discard(u)
