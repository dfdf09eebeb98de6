"""Which storage policies have a ledger, so that an offer costs what it changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from clrun.memory.greedy_balanced import GreedyBalancedStoragePolicy
from clrun.memory.greedy_ledger import GreedyLedger
from clrun.memory.group_sizes import EqualSizes, FixedSizes, GroupSizes, OneSize
from clrun.memory.ledger import KeyLedger, Ledger, Row
from clrun.memory.selection import (
    ClassExemplarsSelectionStrategy,
    RandomExemplarsSelectionStrategy,
)
from clrun.memory.storage_policy import (
    ClassBalancedStoragePolicy,
    ExperienceBalancedStoragePolicy,
    ReservoirStoragePolicy,
    StoragePolicy,
)


class Bookkeeping(NamedTuple):
    """How a policy's ledger is begun."""

    by: str | None
    """the column of the groups; None: all rows are of group 0"""
    begin: Callable[[Sequence[Row], int], Ledger]
    """(the rows held, in the memory's order; mem_size) -> their ledger"""


def bookkeeping(
    policy: StoragePolicy, selection: ClassExemplarsSelectionStrategy
) -> Bookkeeping | None:
    """How to do without the policy's `keep`; None where only `keep` knows.

    That is a policy of somebody's own, also one made of ours, and a selection that ranks rows.
    """
    kind = type(policy)
    if kind is ReservoirStoragePolicy:
        return Bookkeeping(None, _reservoir)
    if kind is GreedyBalancedStoragePolicy:
        return Bookkeeping("y", GreedyLedger)
    if type(selection) is not RandomExemplarsSelectionStrategy:
        return None
    if kind is ClassBalancedStoragePolicy or kind is ExperienceBalancedStoragePolicy:
        assert isinstance(policy, ClassBalancedStoragePolicy | ExperienceBalancedStoragePolicy)
        by = "y" if kind is ClassBalancedStoragePolicy else "experience"
        key, total = policy.total

        def begin(held: Sequence[Row], mem_size: int) -> Ledger:
            sizes: GroupSizes
            counts = Counter(group for group, _ in held)
            if total is None:
                sizes = EqualSizes(counts, mem_size)
            else:
                sizes = FixedSizes(counts, mem_size, total, key)
            return KeyLedger(held, sizes)

        return Bookkeeping(by, begin)
    return None


def _reservoir(held: Sequence[Row], mem_size: int) -> Ledger:
    return KeyLedger(held, OneSize(Counter(group for group, _ in held), mem_size))
