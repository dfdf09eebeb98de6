"""Rows offered a few at a time: what is held is what the policy's `keep` answers, row for row."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from clrun.errors import ConfigError
from clrun.images.patterns import Patterns
from clrun.memory.greedy_balanced import GreedyBalancedStoragePolicy
from clrun.memory.online_rows import OnlineRows
from clrun.memory.replay_memory import ReplayMemory
from clrun.memory.selection import RandomExemplarsSelectionStrategy
from clrun.memory.storage_policy import (
    ClassBalancedStoragePolicy,
    ExperienceBalancedStoragePolicy,
    Order,
    ReservoirStoragePolicy,
    StoragePolicy,
)
from clrun.memory.table import Table

RANDOM = RandomExemplarsSelectionStrategy(RandomExemplarsSelectionStrategy.Config())


def by_class(total: int | None = None) -> StoragePolicy:
    return ClassBalancedStoragePolicy(
        ClassBalancedStoragePolicy.Config(adaptive_size=total is None, total_num_classes=total)
    )


def by_experience(total: int | None = None) -> StoragePolicy:
    return ExperienceBalancedStoragePolicy(
        ExperienceBalancedStoragePolicy.Config(adaptive_size=total is None, num_experiences=total)
    )


POLICIES = {
    "reservoir": ReservoirStoragePolicy(ReservoirStoragePolicy.Config()),
    "class_balanced": by_class(),
    "class_balanced, fixed": by_class(total=6),
    "experience_balanced": by_experience(),
    "experience_balanced, fixed": by_experience(total=8),
    "greedy_balanced": GreedyBalancedStoragePolicy(GreedyBalancedStoragePolicy.Config()),
}


class Asked(StoragePolicy):
    """The same policy as somebody's own: the memory knows no short way for it."""

    def __init__(self, policy: StoragePolicy) -> None:
        self._policy = policy

    def keep(self, held: Table, new: Table, mem_size: int, order: Order) -> Tensor:
        return self._policy.keep(held, new, mem_size, order)


def offered(memory: ReplayMemory, classes: list[int], experience: int, keys: list[float]) -> None:
    """Offer rows with two columns; the pixel tells them apart."""
    y = torch.tensor(classes, dtype=torch.int64)
    key = torch.tensor(keys, dtype=torch.float64)
    x = (255 * key).to(torch.uint8).reshape(-1, 1, 1, 1)
    columns = {"logits": torch.stack([key, y], dim=1).float()}
    memory.offer(Patterns(x, y), experience, lambda x, _layer: x, key, columns)


def same(one: Table, other: Table) -> bool:
    theirs = other.columns
    return all(torch.equal(column, theirs[name]) for name, column in one.columns.items())


ROW = st.tuples(st.integers(0, 5), st.integers(0, 20).map(lambda number: number / 21))
OFFERS = st.lists(
    st.tuples(st.integers(0, 1), st.lists(ROW, min_size=1, max_size=9)), min_size=1, max_size=12
)


@pytest.mark.parametrize("name", POLICIES)
@settings(max_examples=15, deadline=None)
@given(OFFERS, st.integers(1, 30), st.integers(0, 11))
def test_what_is_held_is_what_the_policy_answers_also_after_going_on(name, offers, size, stop):
    short = ReplayMemory(size, POLICIES[name], RANDOM, 0)
    plain = ReplayMemory(size, Asked(POLICIES[name]), RANDOM, 0)
    experience = 0
    for number, (step, rows) in enumerate(offers):
        experience = min(experience + step, 7)
        for memory in (short, plain):
            offered(memory, [y for y, _ in rows], experience, [key for _, key in rows])
        if number == stop:
            again = ReplayMemory(size, POLICIES[name], RANDOM, 0)
            again.load_state_dict(short.state_dict())
            short = again

        assert same(short.exemplars, plain.exemplars)
        assert short.summary() == plain.summary()
        places = torch.arange(len(short)).flip(0)
        assert same(short.take(places), plain.exemplars.select(places))
        assert torch.equal(short.column("y"), plain.exemplars.y)


@pytest.mark.parametrize("name", ["reservoir", "class_balanced", "experience_balanced"])
def test_many_rows_of_many_blocks_are_what_the_policy_answers(name):
    short = ReplayMemory(3000, POLICIES[name], RANDOM, 0)
    plain = ReplayMemory(3000, Asked(POLICIES[name]), RANDOM, 0)
    rng = torch.Generator().manual_seed(1)
    for step in range(12):
        y = torch.randint(0, 3, (500,), generator=rng).tolist()
        keys = torch.rand(500, generator=rng, dtype=torch.float64).tolist()
        for memory in (short, plain):
            offered(memory, y, step // 6, keys)

    assert same(short.exemplars, plain.exemplars)
    places = torch.randperm(3000, generator=rng)
    assert same(short.take(places), plain.exemplars.select(places))


def test_a_memory_offered_an_experience_after_pieces_asks_its_policy_again():
    memory, plain = (ReplayMemory(6, p, RANDOM, 0) for p in (by_class(), Asked(by_class())))
    for held in (memory, plain):
        offered(held, [0, 0, 1, 1, 1, 2, 2, 2], 0, [0.1, 0.9, 0.3, 0.5, 0.2, 0.8, 0.7, 0.6])
        whole = Patterns(torch.zeros(9, 1, 1, 1, dtype=torch.uint8), torch.arange(9) % 4)
        columns = {"logits": torch.zeros(9, 2)}
        held.offer(whole, 1, lambda x, _layer: x, columns=columns)
        offered(held, [3, 3, 4], 2, [0.4, 0.95, 0.15])

    assert same(memory.exemplars, plain.exemplars)


def test_saved_rows_do_not_change_when_places_are_given_to_others():
    memory = ReplayMemory(2, POLICIES["reservoir"], RANDOM, 0)
    offered(memory, [0, 1], 0, [0.1, 0.2])
    saved, seen = memory.state_dict(), memory.exemplars

    offered(memory, [2, 3], 1, [0.8, 0.9])

    assert saved["y"].tolist() == seen.y.tolist() == [1, 0]
    assert memory.exemplars.y.tolist() == [3, 2]


def test_a_reservoir_keeps_every_row_of_a_stream_equally_often():
    rng, kept = torch.Generator().manual_seed(3), Counter()
    for _ in range(200):
        memory = ReplayMemory(5, POLICIES["reservoir"], RANDOM, 0)
        for start in range(0, 20, 4):
            keys = torch.rand(4, generator=rng, dtype=torch.float64).tolist()
            offered(memory, list(range(start, start + 4)), 0, keys)
        kept.update(memory.exemplars.y.tolist())

    chi_square = sum((kept[row] - 50) ** 2 / 50 for row in range(20))
    assert chi_square * 19 / 20 / 0.75 < 43.8  # 19 degrees of freedom; 5 of 20 without replacement


def test_one_group_too_many_is_refused_and_nothing_is_lost():
    memory = ReplayMemory(6, by_class(total=2), RANDOM, 0)
    offered(memory, [0, 1, 1], 0, [0.1, 0.2, 0.3])

    with pytest.raises(ConfigError, match=r"total_num_classes=2: the memory meets group number 3"):
        offered(memory, [2], 0, [0.5])

    assert memory.exemplars.y.tolist() == [0, 1, 1]


def test_a_policy_made_of_ours_is_asked():
    class Newest(ReservoirStoragePolicy):
        def keep(self, held: Table, new: Table, mem_size: int, order: Order) -> Tensor:
            return torch.arange(len(held) + len(new))[-mem_size:]

    memory = ReplayMemory(2, Newest(Newest.Config()), RANDOM, 0)
    offered(memory, [0, 1, 2], 0, [0.9, 0.8, 0.1])

    assert memory.exemplars.y.tolist() == [1, 2]
    assert memory.online() is None


def test_an_update_reads_no_row_that_it_neither_stores_nor_draws(monkeypatch):
    memory = ReplayMemory(1000, by_class(), RANDOM, 0)
    rng = torch.Generator().manual_seed(0)
    read: list[int] = []
    select = Tensor.index_select

    def counted(column: Tensor, dim: int, index: Tensor) -> Tensor:
        read.append(len(index))
        return select(column, dim, index)

    for step in range(40):
        keys = torch.rand(50, generator=rng, dtype=torch.float64).tolist()
        offered(memory, torch.randint(0, 10, (50,), generator=rng).tolist(), 0, keys)
        if step == 30:
            monkeypatch.setattr(Tensor, "index_select", counted)
            monkeypatch.setattr(OnlineRows, "table", lambda _: pytest.fail("all rows are copied"))
        memory.take(torch.arange(16))

    assert read
    assert max(read) <= 50
