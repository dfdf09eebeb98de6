"""Rows drawn from a memory too large to permute at each update."""

from __future__ import annotations

from collections import Counter
from itertools import permutations

import pytest
import torch

from clrun.images.patterns import Patterns
from clrun.memory import drawing
from clrun.memory.drawing import drawn_past, drawn_rows, shuffled
from clrun.memory.minibatches import draw
from clrun.memory.replay_memory import ReplayMemory
from clrun.memory.selection import RandomExemplarsSelectionStrategy
from clrun.memory.storage_policy import (
    ClassBalancedStoragePolicy,
    ReservoirStoragePolicy,
    StoragePolicy,
)
from clrun.seeds import generator

RANDOM = RandomExemplarsSelectionStrategy(RandomExemplarsSelectionStrategy.Config())
RESERVOIR = ReservoirStoragePolicy(ReservoirStoragePolicy.Config())
BY_CLASS = ClassBalancedStoragePolicy(
    ClassBalancedStoragePolicy.Config(adaptive_size=True, total_num_classes=None)
)


def filled(classes: list[int], experiences: list[int], policy: StoragePolicy) -> ReplayMemory:
    """A memory of rows whose pixel is their number."""
    memory, rng = ReplayMemory(len(classes), policy, RANDOM, 0), generator(5, "keys")
    for number, (label, experience) in enumerate(zip(classes, experiences, strict=True)):
        x = torch.full((1, 1, 1, 1), number, dtype=torch.uint8)
        key = torch.rand(1, generator=rng, dtype=torch.float64)
        memory.offer(Patterns(x, torch.tensor([label])), experience, lambda x, _: x, key)
    return memory


def test_every_order_of_a_few_numbers_comes_equally_often():
    rng = generator(0, "draws")

    found = Counter(tuple(shuffled(5, 3, rng)) for _ in range(6000))

    assert set(found) == set(permutations(range(5), 3))
    assert sum((count - 100) ** 2 / 100 for count in found.values()) < 98.3  # 59 degrees: 1 of 1000


def test_no_number_comes_twice_and_all_come_at_last():
    for at_once in (None, 1, 7):
        numbers = list(shuffled(50, 80, generator(1, "draws"), at_once=at_once))

        assert sorted(numbers) == list(range(50))
        assert numbers == list(shuffled(50, 50, generator(1, "draws")))


@pytest.mark.parametrize("policy", [RESERVOIR, BY_CLASS])
@pytest.mark.parametrize("balance", ["class", "experience", "none"])
@pytest.mark.parametrize("size", [2, 5, 12, 40])
def test_a_draw_of_a_large_memory_is_shared_as_that_of_a_small_one(
    monkeypatch, policy, balance, size
):
    memory = filled([0, 1, 1, 2, 2, 2, 2, 2, 2], [0, 0, 1, 1, 1, 2, 2, 2, 2], policy)
    column = {"class": "y", "experience": "experience"}.get(balance)

    def shares(rows: torch.Tensor) -> list[int]:
        """How often rows are drawn of each group, and of them how often each row: all sorted."""
        return sorted(torch.bincount(rows, minlength=9).tolist())

    small = drawn_rows(memory, balance, size, generator(3, "draw"))
    monkeypatch.setattr(drawing, "AT_ONCE", 0)
    large = drawn_rows(memory, balance, size, generator(3, "draw"))

    assert len(small) == len(large) == size
    if column is None:
        assert shares(small.x.flatten().long()) == shares(large.x.flatten().long())
        return
    counts = torch.bincount(large.columns[column], minlength=3)
    assert counts.max() - counts.min() <= 1
    for group in range(3):
        numbers = large.x.flatten()[large.columns[column] == group].tolist()
        times = Counter(numbers).values()
        assert max(times, default=0) - (min(times, default=0)) <= 1


def test_a_draw_of_a_small_memory_is_what_it_always_was():
    memory = filled([0, 1, 1, 2, 2, 2, 2, 2, 2], [0] * 9, RESERVOIR)
    held = memory.exemplars

    for balance, groups in (("class", held.y), ("none", None)):
        places = draw(groups, 9, 5, generator(7, "draw"))
        found = drawn_rows(memory, balance, 5, generator(7, "draw"))
        assert torch.equal(found.x, held.select(places).x)


@pytest.mark.parametrize("balance", ["class", "experience", "none"])
def test_a_run_that_goes_on_draws_the_same_rows(monkeypatch, balance):
    monkeypatch.setattr(drawing, "AT_ONCE", 0)
    there = filled([0, 1, 1, 2, 2, 2, 2, 2, 2], [0, 0, 1, 1, 1, 2, 2, 2, 2], RESERVOIR)
    drawn_rows(there, balance, 3, generator(0, "draw"))
    new = Patterns(torch.tensor([[[[90]]], [[[91]]]], dtype=torch.uint8), torch.tensor([1, 3]))
    keys = torch.tensor([0.97, 0.98], dtype=torch.float64)
    there.offer(new, 3, lambda x, _: x, keys)
    here = ReplayMemory(9, RESERVOIR, RANDOM, 0)
    here.load_state_dict(there.state_dict())

    for seed in range(5):
        one, other = (drawn_rows(m, balance, 4, generator(seed, "draw")) for m in (there, here))
        assert torch.equal(one.x, other.x)


@pytest.mark.parametrize("current", [0, 1, 2])
def test_past_rows_are_drawn_equally_often_and_never_current_ones(monkeypatch, current):
    monkeypatch.setattr(drawing, "AT_ONCE", 0)
    memory = filled([0] * 12, [0] * 2 + [1] * 4 + [2] * 6, RESERVOIR)
    rng, found = generator(0, "draw"), Counter[int]()
    past = int((memory.column("experience") != current).sum())
    for _ in range(300):
        rows = drawn_past(memory, current, 4, rng)
        assert len(set(rows.x.flatten().tolist())) == len(rows) == 4
        assert current not in rows.experience
        found.update(rows.x.flatten().tolist())

    expected = 300 * 4 / past
    assert len(found) == past
    assert sum((count - expected) ** 2 / expected for count in found.values()) < 29.6


def test_where_there_is_hardly_a_past_all_of_it_is_drawn(monkeypatch):
    monkeypatch.setattr(drawing, "AT_ONCE", 0)
    memory = filled([0] * 12, [0] + [1] * 11, RESERVOIR)

    assert drawn_past(memory, 1, 4, generator(0, "draw")).experience.tolist() == [0]
    assert len(drawn_past(memory, 0, 20, generator(0, "draw"))) == 11
    assert len(drawn_past(filled([0], [0], RESERVOIR), 0, 4, generator(0, "draw"))) == 0
