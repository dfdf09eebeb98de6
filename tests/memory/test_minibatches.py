from collections import Counter
from typing import Literal

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from clrun.errors import ConfigError
from clrun.memory.composition import Composition
from clrun.memory.minibatches import EpochPlan, draw, plan_epoch
from clrun.seeds import generator

FEW = settings(max_examples=60, deadline=None)
FEWER = settings(max_examples=25, deadline=None)
CURRENT = st.lists(st.integers(0, 4), min_size=1, max_size=60).map(torch.tensor)
MEMORY = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=40).map(
    lambda rows: torch.tensor(rows).T
)  # [2, M]: classes, experiences
SIZES = st.integers(2, 20)
BALANCES = st.sampled_from(["experience", "class", "none"])
LENGTHS = st.sampled_from(["current", "longest"])
NONE = torch.empty(0, dtype=torch.int64)


def composed(
    size: int = 128,
    memory_size: int | None = None,
    mix: Literal["split", "add"] = "split",
    balance: Literal["experience", "class", "none"] = "none",
    length: Literal["current", "longest"] = "current",
) -> Composition:
    return Composition(size, memory_size, mix, balance, length)


def plan(composition: Composition, current: Tensor, memory: Tensor, seed: int = 0) -> EpochPlan:
    y, experience = memory
    return plan_epoch(composition, current, y, experience, generator(seed, "order"))


def rows(n: int, classes: int = 1) -> Tensor:
    return torch.arange(n) % classes


def memory(n: int, experiences: int = 1) -> Tensor:
    return torch.stack([rows(n, 10), rows(n, experiences)])


def sizes(planned: EpochPlan) -> list[tuple[int, int]]:
    return [(len(b.current), len(b.memory)) for b in (planned[i] for i in range(len(planned)))]


def uses(planned: EpochPlan, part: Literal["current", "memory"]) -> Counter[int]:
    """How often each row is used in the epoch."""
    parts = [getattr(planned[i], part) for i in range(len(planned))]
    return Counter(torch.cat(parts).tolist())


def spread(counts: list[int]) -> int:
    return max(counts) - min(counts)


def fits(composition: Composition, current: Tensor, held: Tensor) -> bool:
    """Whether a minibatch has a row for each of the groups that share it."""
    groups = {
        "experience": 1 + len(held[1].unique()),
        "class": len(torch.cat([current, held[0]]).unique()),
        "none": 2,
    }
    return composition.mix == "add" or composition.train_mb_size >= groups[composition.balance]


@pytest.mark.parametrize(
    ("current", "held", "composition", "expected"),
    [
        (300, 1500, composed(length="longest"), [(64, 64)] * 24),
        (300, 200, composed(length="longest"), [(64, 64)] * 5),
        (300, 20, composed(length="longest"), [(64, 64)] * 5),
        (300, 1500, composed(129, length="longest"), [(65, 64)] * 24),
        (300, 1500, composed(mix="add"), [(128, 128), (128, 128), (44, 128)]),
        (300, 20, composed(mix="add", memory_size=30), [(128, 30), (128, 30), (44, 30)]),
        (300, 1500, composed(), [(64, 64)] * 4 + [(44, 64)]),
        (300, 1500, composed(memory_size=28), [(100, 28)] * 3),
        (300, 0, composed(length="longest"), [(128, 0), (128, 0), (44, 0)]),
        (300, 0, composed(balance="class"), [(128, 0), (128, 0), (44, 0)]),
        (10, 1500, composed(length="longest"), [(64, 64)] * 24),
    ],
)
def test_sizes_of_the_minibatches_of_an_epoch(current, held, composition, expected):
    assert sizes(plan(composition, rows(current), memory(held))) == expected


def test_with_balance_experience_the_current_data_is_one_group_among_equals():
    planned = plan(composed(32, balance="experience"), rows(15), memory(90, experiences=5))

    by_experience = [Counter((planned[i].memory % 5).tolist()) for i in range(len(planned))]
    assert sizes(planned) == [(6, 26), (6, 26), (3, 15)]
    assert by_experience[0] == {4: 6, 3: 5, 2: 5, 1: 5, 0: 5}
    assert by_experience[2] == dict.fromkeys(range(5), 3)


def test_with_balance_class_old_and_new_classes_have_equal_shares():
    current, held = torch.tensor([0] * 30 + [1] * 10), torch.tensor([[1] * 8 + [2] * 8, [0] * 16])

    planned = plan(composed(10, balance="class"), current, held)

    assert len(planned) == 8  # ceil(30 / 4) for class 0, ceil(10 / 2) for class 1
    for i in range(len(planned)):
        assert Counter(current[planned[i].current].tolist()) == {0: 4, 1: 2}
        assert Counter(held[0][planned[i].memory].tolist()) == {1: 1, 2: 3}


@FEW
@given(CURRENT, MEMORY, SIZES, BALANCES, LENGTHS, st.booleans())
def test_a_split_minibatch_never_exceeds_its_size(current, held, size, balance, length, is_fixed):
    composition = composed(size, size // 2 if is_fixed else None, "split", balance, length)
    assume(is_fixed or fits(composition, current, held))

    totals = [sum(pair) for pair in sizes(plan(composition, current, held))]

    assert max(totals) <= size
    assert length == "current" or min(totals) == size


@FEW
@given(CURRENT, MEMORY, SIZES, LENGTHS)
def test_experiences_are_balanced_within_one_in_every_minibatch(current, held, size, length):
    composition = composed(size, balance="experience", length=length)
    assume(fits(composition, current, held))

    planned = plan(composition, current, held)

    for i in range(len(planned)):
        of_old = torch.bincount(held[1][planned[i].memory], minlength=4)[held[1].unique()]
        assert spread([len(planned[i].current), *of_old.tolist()]) <= 1


@FEW
@given(CURRENT, MEMORY, SIZES, LENGTHS)
def test_classes_are_balanced_within_one_in_every_minibatch(current, held, size, length):
    composition = composed(size, balance="class", length=length)
    assume(fits(composition, current, held))

    planned = plan(composition, current, held)

    for i in range(len(planned)):
        labels = torch.cat([current[planned[i].current], held[0][planned[i].memory]])
        classes = torch.cat([current, held[0]]).unique()
        assert spread(torch.bincount(labels, minlength=5)[classes].tolist()) <= 1


@FEW
@given(CURRENT, MEMORY, SIZES, st.integers(1, 12), st.sampled_from(["experience", "class"]))
def test_a_fixed_memory_part_is_balanced_in_a_minibatch_and_over_the_epoch(
    current, held, size, memory_size, balance
):
    planned = plan(composed(size, memory_size, "add", balance), current, held)

    group = held[1] if balance == "experience" else held[0]
    per_minibatch = [
        torch.bincount(group[planned[i].memory], minlength=5)[group.unique()]
        for i in range(len(planned))
    ]
    assert all(spread(counts.tolist()) <= 1 for counts in per_minibatch)
    assert spread(torch.stack(per_minibatch).sum(0).tolist()) <= 1
    assert {m for _, m in sizes(planned)} == {memory_size}


@FEW
@given(CURRENT, MEMORY, SIZES, BALANCES, LENGTHS, st.sampled_from(["split", "add"]))
def test_rows_of_a_group_are_used_equally_often(current, held, size, balance, length, mix):
    composition = composed(size, None, mix, balance, length)
    assume(fits(composition, current, held))

    planned = plan(composition, current, held)

    used = uses(planned, "memory")
    group = {"experience": held[1], "class": held[0], "none": torch.zeros_like(held[0])}[balance]
    for g in group.unique():
        assert spread([used[row] for row in (group == g).nonzero().flatten().tolist()]) <= 1


@FEW
@given(CURRENT, MEMORY, SIZES, BALANCES, st.sampled_from(["split", "add"]), st.booleans())
def test_an_epoch_of_current_length_uses_each_current_row_once(
    current, held, size, balance, mix, is_fixed
):
    composition = composed(size, size // 2 if is_fixed else None, mix, balance)
    assume(is_fixed or fits(composition, current, held))
    assume(balance != "class" or is_fixed or mix == "add")  # classes are then oversampled

    planned = plan(composition, current, held)

    assert uses(planned, "current") == dict.fromkeys(range(len(current)), 1)


@FEW
@given(CURRENT, MEMORY, SIZES, BALANCES, LENGTHS, st.sampled_from(["split", "add"]))
def test_an_epoch_uses_every_row_it_waits_for(current, held, size, balance, length, mix):
    composition = composed(size, None, mix, balance, length)
    assume(fits(composition, current, held))

    planned = plan(composition, current, held)

    assert set(uses(planned, "current")) == set(range(len(current)))
    shares = composition.shared_by_group and balance == "class"  # a share of one is all current
    if length == "longest" and not shares:
        assert set(uses(planned, "memory")) == set(range(held.shape[1]))


@FEW
@given(CURRENT, MEMORY, SIZES, BALANCES, LENGTHS)
def test_a_plan_is_a_function_of_its_generator(current, held, size, balance, length):
    composition = composed(size, None, "add", balance, length)

    first, second = (plan(composition, current, held, seed=3) for _ in range(2))

    assert len(first) == len(second)
    for i in range(len(first)):
        assert torch.equal(first[i].current, second[i].current)
        assert torch.equal(first[i].memory, second[i].memory)


def test_another_epoch_has_another_order():
    one, other = (plan(composed(), rows(300), memory(200), seed=s)[0] for s in (0, 1))

    assert not torch.equal(one.current, other.current)
    assert not torch.equal(one.memory, other.memory)


def test_too_many_groups_for_a_minibatch_are_refused():
    with pytest.raises(ConfigError, match=r"^strategy\.train_mb_size=5: .* the 6 groups"):
        plan(composed(5, balance="experience"), rows(15), memory(90, experiences=5))


@FEW
@given(MEMORY, st.integers(0, 60), st.integers(0, 10**6))
def test_drawn_rows_are_balanced_over_groups_and_repeat_only_when_a_group_is_used_up(
    held, size, seed
):
    group = held[1]

    drawn = draw(group, len(group), size, generator(seed, "replayed rows"))

    used = torch.bincount(drawn, minlength=len(group))
    per_group = [used[group == g].tolist() for g in group.unique()]
    assert len(drawn) == size
    assert spread([sum(counts) for counts in per_group]) <= 1
    assert all(spread(counts) <= 1 for counts in per_group)


def test_rows_drawn_without_groups_are_uniform():
    drawn = torch.cat([draw(None, 10, 3, generator(s, "replayed rows")) for s in range(1000)])

    counts = torch.bincount(drawn, minlength=10)
    chi_square = float(((counts - 300) ** 2 / 300).sum())
    assert chi_square < 27.9  # 9 degrees of freedom: passed by chance in 1 of 1000


def test_fewer_rows_than_groups_draw_every_group_equally_often():
    group = torch.tensor([0] * 90 + [1] * 5 + [2] * 5)

    drawn = torch.cat([draw(group, 100, 1, generator(s, "replayed rows")) for s in range(900)])

    counts = torch.bincount(group[drawn], minlength=3)
    assert bool((counts > 240).all())


def test_an_empty_memory_gives_no_rows():
    assert draw(None, 0, 8, generator(0, "replayed rows")).tolist() == []
    assert draw(NONE, 0, 8, generator(0, "replayed rows")).tolist() == []


@FEWER
@given(CURRENT, MEMORY, SIZES, BALANCES, LENGTHS, st.sampled_from(["split", "add"]))
def test_each_minibatch_comes_several_times_in_a_row_beside_other_memory_rows(
    current, held, size, balance, length, mix
):
    once, many = (
        Composition(size, None, mix, balance, length, updates_per_minibatch=n) for n in (1, 3)
    )
    assume(fits(once, current, held))

    whole, repeated = (plan(each, current, held) for each in (once, many))

    assert len(repeated) % 3 == 0
    if length == "current":
        assert len(repeated) == 3 * len(whole)
        assert [b.tolist() for b in repeated.current[::3]] == [b.tolist() for b in whole.current]
    for place in range(0, len(repeated), 3):
        assert len({tuple(b.tolist()) for b in repeated.current[place : place + 3]}) == 1
    uses_of_memory = uses(repeated, "memory")
    shares = many.shared_by_group and balance == "class"  # a share of one is all current
    if length == "longest" and not shares:
        assert set(uses_of_memory) == set(range(held.shape[1]))
    if balance == "none":
        assert spread(list(uses_of_memory.values())) <= 1


@FEWER
@given(CURRENT, MEMORY, SIZES, BALANCES, LENGTHS, st.sampled_from(["split", "add"]))
def test_without_a_short_last_minibatch_all_are_as_long(current, held, size, balance, length, mix):
    whole, cut = (
        Composition(size, None, mix, balance, length, drop_last=drops) for drops in (False, True)
    )
    assume(fits(whole, current, held))

    before, after = (sizes(plan(each, current, held)) for each in (whole, cut))

    is_short = before[-1][0] < before[0][0]
    dropped = is_short and len(before) > 1 and length == "current"
    assert len(after) == len(before) - dropped
    assert after == before or dropped
    if dropped:
        assert {new for new, _ in after} == {before[0][0]}
