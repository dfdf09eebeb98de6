"""GDumb's sampler: places go to whoever comes first, but no class may have more than its share.

Prabhu et al. 2020, "GDumb: A Simple Approach that Questions Our Progress in Continual Learning"
(ECCV), algorithm 1. With n classes met so far, a row is stored if its class holds fewer than
mem_size // n; where the memory is full, a random row of the largest class goes for it. So classes
with enough rows have equal shares within one. In the authors' code the number of classes is known
beforehand, and the first mem_size // classes rows of each are taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush
from typing import ClassVar

import torch
from torch import Tensor

from clrun.memory.groups import members
from clrun.memory.policy_keys import PolicyKeys
from clrun.memory.storage_policy import Order, StoragePolicy
from clrun.memory.table import Table

Held = dict[int, list[tuple[float, int]]]
"""class -> (key, number) of its rows, as a heap: the row with the lowest key goes first"""


class GreedyBalancedStoragePolicy(StoragePolicy):
    """First come, first stored, within equal shares for the classes met so far.

    Rows count as coming in their order. A class is met while a row of it is held, so there must be
    as many places as classes. Among the largest classes it is chance too which one loses a row.
    """

    uses_selection: ClassVar[bool] = False

    @dataclass(frozen=True, kw_only=True)
    class Config(PolicyKeys):
        pass

    def __init__(self, config: Config) -> None:
        self.config = config

    def keep(self, held: Table, new: Table, mem_size: int, order: Order) -> Tensor:
        kept: Held = {}
        for number, (label, key) in enumerate(_rows(held)):
            heappush(kept.setdefault(label, []), (key, number))
        early = _early(kept, new, mem_size)
        rows = _rows(new.select(early)) if len(early) else []
        for number, (label, key) in zip((early + len(held)).tolist(), rows, strict=True):
            own = kept.setdefault(label, [])
            if len(own) >= mem_size // len(kept):
                continue
            if sum(map(len, kept.values())) == mem_size:
                most = max(map(len, kept.values()))
                heappop(min(rows for rows in kept.values() if len(rows) == most))
            heappush(own, (key, number))
        numbers = [number for rows in kept.values() for _, number in rows]
        return torch.tensor(sorted(numbers), dtype=torch.int64)


def _rows(table: Table) -> list[tuple[int, float]]:
    return list(zip(table.y.tolist(), table.key.tolist(), strict=True))


def _early(kept: Held, new: Table, mem_size: int) -> Tensor:
    """The new rows that come early enough in their class to be stored at all, in order.

    Shares only shrink, and a class at its share never falls below it: whoever comes later than the
    share of now has no chance. That leaves few rows to look at one by one.
    """
    early = [
        rows[: max(0, mem_size // max(1, len({*kept, label})) - len(kept.get(label, ())))]
        for label, rows in members(new.y).items()
    ]
    return torch.cat([torch.empty(0, dtype=torch.int64), *early]).sort().values
