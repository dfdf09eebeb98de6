import pytest
import torch
from torch import Tensor

from clrun.seeds import generator
from clrun.streams.scenarios import by_experience
from clrun.streams.soft_scenarios import (
    alike,
    blurry,
    come_back,
    dealt,
    long_tail,
    online,
    shuffled_occurrence,
    steps_of,
)

hypothesis = pytest.importorskip("hypothesis")
given, settings, st = hypothesis.given, hypothesis.settings, hypothesis.strategies

CLASSES = 7
labels = st.lists(st.integers(0, CLASSES - 1), min_size=1, max_size=80).map(torch.tensor)
steps = st.lists(st.integers(0, 3), min_size=CLASSES - 4, max_size=CLASSES - 4).map(
    lambda more: torch.tensor([0, 1, 2, 3, *more])
)
seeds = st.integers(0, 2**32)
quickly = settings(max_examples=60, deadline=None)


def counts(y: Tensor, experience: Tensor, n: int) -> Tensor:
    """[n, CLASSES]"""
    return torch.bincount(experience * CLASSES + y, minlength=n * CLASSES).view(n, CLASSES)


def test_the_step_of_a_class_is_the_group_it_is_in():
    assert steps_of([(3, 0), (1,), (2, 4)]).tolist() == [0, 1, 2, 0, 2]


@given(experience=st.lists(st.integers(0, 5), min_size=1, max_size=50).map(torch.tensor))
@quickly
def test_rows_by_experience_are_a_partition_in_ascending_order(experience):
    rows = by_experience(experience, 6)

    assert len(rows) == 6
    assert sorted(torch.cat(rows).tolist()) == list(range(len(experience)))
    for k, found in enumerate(rows):
        assert found.tolist() == (experience == k).nonzero().flatten().tolist()


@given(y=labels, step=steps, size=st.integers(1, 30), seed=seeds)
@quickly
def test_online_minibatches_are_full_but_the_last_and_pass_through_the_steps_in_order(
    y, step, size, seed
):
    experience = online(y, step, size, generator(seed, "online"))

    sizes = torch.bincount(experience)
    assert (sizes[:-1] == size).all()
    assert sizes.sum() == len(y)
    in_order = step[y][experience.argsort(stable=True)]
    firsts = [int(step[y][experience == k].min()) for k in range(len(sizes))]
    lasts = [int(step[y][experience == k].max()) for k in range(len(sizes))]
    assert len(in_order) == len(y)
    assert all(last <= first for last, first in zip(lasts[:-1], firsts[1:], strict=True))


@given(y=labels, step=steps, blur=st.floats(0.01, 0.99), seed=seeds)
@quickly
def test_a_blurry_class_leaks_its_share_evenly_to_all_other_steps(y, step, blur, seed):
    experience = blurry(y, step, blur, generator(seed, "blur"))

    there = counts(y, experience, 4)
    own = torch.zeros_like(there, dtype=torch.bool)
    own[step, torch.arange(CLASSES)] = True
    leaked = there.masked_fill(own, 0)
    assert torch.equal(
        leaked.sum(0), (torch.bincount(y, minlength=CLASSES).double() * blur + 1e-9).long()
    )
    most, fewest = leaked.amax(0), there.masked_fill(own, len(y)).amin(0)
    assert (most - fewest).max() <= 1


@given(step=steps, p=st.floats(0, 1), seed=seeds)
@quickly
def test_a_class_occurs_in_its_step_and_in_no_earlier_one(step, p, seed):
    occurs = come_back(step, p, generator(seed, "repetition"))

    assert occurs.shape == (CLASSES, 4)
    assert occurs.int().argmax(1).tolist() == step.tolist()


def test_classes_come_back_as_often_as_they_should():
    step = torch.zeros(500, dtype=torch.int64)
    step[-1] = 9

    share = come_back(step, 0.3, generator(0, "repetition"))[:-1, 1:].double().mean()

    assert abs(share - 0.3) < 0.02


@pytest.mark.parametrize(("p", "expected"), [(0.0, 7), (1.0, 4 + 3 + 2 + 1 + 4 + 4 + 4)])
def test_never_and_always_are_exact(p, expected):
    step = torch.tensor([0, 1, 2, 3, 0, 0, 0])

    assert come_back(step, p, generator(0, "repetition")).sum() == expected


@given(y=labels, step=steps, p=st.floats(0, 1), seed=seeds)
@quickly
def test_rows_are_dealt_in_equal_shares_to_the_steps_of_their_class(y, step, p, seed):
    occurs = come_back(step, p, generator(seed, "repetition"))

    there = counts(y, dealt(y, occurs, generator(seed, "rows")), 4)

    assert (there.sum(0) == torch.bincount(y, minlength=CLASSES)).all()
    assert (there.T[~occurs] == 0).all()
    for shares, inside in zip(there.T, occurs, strict=True):
        assert shares[inside].max() - shares[inside].min() <= 1
        assert shares[inside].tolist() == sorted(shares[inside].tolist(), reverse=True)


@given(y=labels, extra=labels, n=st.integers(1, 6), seed=seeds)
@quickly
def test_other_rows_are_spread_as_the_rows_of_their_class(y, extra, n, seed):
    rng = generator(seed, "experiences")
    experience = torch.randint(n, (len(y),), generator=rng)
    other = extra[torch.isin(extra, y)]

    where = alike(y, experience, torch.cat([y, other]), generator(seed, "alike"))

    there, spread = counts(y, experience, n), counts(torch.cat([y, other]), where, n)
    wanted = there * spread.sum(0) / there.sum(0).clamp(min=1)
    assert ((spread - wanted).abs() <= 1 + 1e-9).all()
    assert (spread[there == 0] == 0).all()


@given(y=labels, imbalance=st.floats(1, 500), seed=seeds)
@quickly
def test_a_long_tail_keeps_the_exponential_share_of_each_class(y, imbalance, seed):
    left = long_tail(y, imbalance, CLASSES, generator(seed, "long tail"))

    assert left.tolist() == sorted(set(left.tolist()))
    for c in range(CLASSES):
        had, kept = int((y == c).sum()), int((y[left] == c).sum())
        share = had * imbalance ** -(c / (CLASSES - 1))
        assert kept == min(had, max(1, int(share + 1e-9)))


def test_no_imbalance_leaves_every_row():
    y = torch.arange(50) % CLASSES

    assert long_tail(y, 1.0, CLASSES, generator(0, "long tail")).tolist() == list(range(50))


@given(y=labels, seed=seeds)
@quickly
def test_a_random_occurrence_numbers_the_rows_of_each_class(y, seed):
    rank = shuffled_occurrence(y, generator(seed, "rank"))

    for c in y.unique():
        assert sorted(rank[y == c].tolist()) == list(range(int((y == c).sum())))


Y, STEP = torch.arange(210) % CLASSES, torch.tensor([0, 1, 2, 3, 0, 1, 2])
LAWS = {
    "online": lambda rng: online(Y, STEP, 16, rng),
    "blurry": lambda rng: blurry(Y, STEP, 0.3, rng),
    "come_back": lambda rng: come_back(STEP, 0.5, rng),
    "dealt": lambda rng: dealt(Y, torch.ones(CLASSES, 4, dtype=torch.bool), rng),
    "alike": lambda rng: alike(Y, torch.arange(210) % 5, Y, rng),
    "long_tail": lambda rng: long_tail(Y, 10, CLASSES, rng),
}


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS.keys())
def test_a_law_is_a_function_of_the_seed(law):
    one, again, other = (law(generator(seed, "law")).tolist() for seed in (1, 1, 2))

    assert one == again
    assert one != other
