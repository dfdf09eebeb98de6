from itertools import pairwise

import pytest
import torch

from clrun.images.patterns import occurrence
from clrun.seeds import generator
from clrun.streams.scenarios import (
    arrange_classes,
    arrange_units,
    class_groups,
    hold_out,
    limit_per_class,
    new_classes,
    new_instances,
    new_units,
)

hypothesis = pytest.importorskip("hypothesis")
given, settings, st = hypothesis.given, hypothesis.settings, hypothesis.strategies

labels = st.lists(st.integers(0, 6), min_size=1, max_size=80).map(torch.tensor)
seeds = st.integers(0, 2**32)
quickly = settings(max_examples=60, deadline=None)


def as_one(rows: list[torch.Tensor]) -> list[int]:
    return sorted(torch.cat(rows).tolist())


@given(y=labels, order=st.permutations(range(7)), cuts=st.sets(st.integers(1, 6)))
@quickly
def test_new_classes_puts_every_row_into_the_experience_of_its_class(y, order, cuts):
    edges = [0, *sorted(cuts), 7]
    groups = [tuple(order[a:b]) for a, b in pairwise(edges)]

    rows = new_classes(y, groups)

    assert as_one(rows) == list(range(len(y)))
    for group, found in zip(groups, rows, strict=True):
        assert set(y[found].tolist()) <= set(group)
        assert found.tolist() == sorted(found.tolist())


@given(y=labels, n=st.integers(1, 9), seed=seeds)
@quickly
def test_new_instances_shares_every_class_and_the_whole_within_one_row(y, n, seed):
    rows = new_instances(y, n, generator(seed, "new instances"))

    assert as_one(rows) == list(range(len(y)))
    sizes = torch.tensor([len(found) for found in rows])
    counts = torch.stack([torch.bincount(y[found], minlength=7) for found in rows])
    assert sizes.max() - sizes.min() <= 1
    assert (counts.amax(0) - counts.amin(0)).max() <= 1


@given(y=labels, n=st.integers(1, 9), seed=seeds)
@quickly
def test_new_instances_is_a_function_of_the_seed(y, n, seed):
    one, two = (new_instances(y, n, generator(seed, "new instances")) for _ in range(2))

    assert [a.tolist() for a in one] == [b.tolist() for b in two]


def test_new_instances_differs_between_seeds():
    y = torch.arange(100) % 5

    one, two = (new_instances(y, 4, generator(seed, "new instances")) for seed in (0, 1))

    assert one[0].tolist() != two[0].tolist()


@given(first=st.sets(st.integers(0, 6), min_size=1), sessions=st.integers(1, 5), seed=seeds)
@quickly
def test_units_have_an_experience_each_after_the_first_session_of_the_first_classes(
    first, sessions, seed
):
    units = arrange_units(sorted(first), 7, sessions, generator(seed, "unit order"))

    expected = [0] * len(first) + list(range(1, 7 * sessions - len(first) + 1))
    assert units.shape == (7, sessions)
    assert units.flatten().sort().values.tolist() == expected
    assert (units[:, 0] == 0).nonzero().flatten().tolist() == sorted(first)


def test_the_order_of_the_units_differs_between_seeds():
    one, two = (arrange_units([0], 5, 4, generator(seed, "unit order")) for seed in (0, 1))

    assert one.tolist() != two.tolist()


@given(y=labels, first=st.integers(1, 7), sessions=st.integers(1, 5), seed=seeds)
@quickly
def test_new_units_shares_each_class_between_its_sessions_within_one_row(y, first, sessions, seed):
    units = arrange_units(range(first), 7, sessions, generator(seed, "unit order"))

    rows = new_units(y, units, generator(seed, "sessions"))

    assert as_one(rows) == list(range(len(y)))
    assert all(found.tolist() == sorted(found.tolist()) for found in rows)
    counts = torch.stack([torch.bincount(y[found], minlength=7) for found in rows])
    shares = counts[units, torch.arange(7)[:, None]]  # [class, session]
    assert (shares.amax(1) - shares.amin(1)).max() <= 1
    assert torch.equal(shares.sum(1), torch.bincount(y, minlength=7))


def test_new_units_deals_at_random_as_the_seed_says():
    y = torch.arange(100) % 5
    units = arrange_units([0], 5, 4, generator(0, "unit order"))

    one, again, two = (new_units(y, units, generator(seed, "sessions")) for seed in (0, 0, 1))

    assert [a.tolist() for a in one] == [b.tolist() for b in again]
    assert one[0].tolist() != two[0].tolist()


@given(y=labels, fraction=st.floats(0, 0.99), seed=seeds)
@quickly
def test_holding_out_takes_the_fraction_of_each_class_and_never_all_of_one(y, fraction, seed):
    kept, held = hold_out(y, fraction, generator(seed, "validation"))

    assert as_one([kept, held]) == list(range(len(y)))
    taken, there = torch.bincount(y[held], minlength=7), torch.bincount(y, minlength=7)
    assert (taken <= there * fraction + 1e-6).all()
    assert (taken > there * fraction - 1).all()
    assert set(y[kept].tolist()) == set(y.tolist())


@pytest.mark.parametrize(("rows", "fraction", "held"), [(30, 0.1, 3), (100, 0.29, 29), (9, 0.1, 0)])
def test_a_decimal_fraction_is_taken_as_written(rows, fraction, held):
    _, out = hold_out(torch.zeros(rows, dtype=torch.int64), fraction, generator(0, "validation"))

    assert len(out) == held


@given(y=labels, limit=st.integers(1, 20))
@quickly
def test_a_limit_keeps_the_first_rows_of_each_class(y, limit):
    rows = limit_per_class(y, limit)

    seen: dict[int, int] = {}
    expected = []
    for row, label in enumerate(y.tolist()):
        seen[label] = seen.get(label, 0) + 1
        if seen[label] <= limit:
            expected.append(row)
    assert rows.tolist() == expected


def test_occurrence_counts_the_rows_of_the_class_so_far():
    y = torch.tensor([3, 1, 3, 3, 1, 0])

    assert occurrence(y).tolist() == [0, 0, 1, 2, 1, 0]


@given(counts=st.lists(st.integers(1, 5), min_size=1, max_size=6), seed=seeds)
@quickly
def test_the_groups_use_up_the_order_from_its_start(counts, seed):
    order = arrange_classes(sum(counts), "shuffled", generator(seed, "class order"))

    groups = class_groups(sum(counts), len(counts), None, counts, order)

    assert [len(group) for group in groups] == counts
    assert [c for group in groups for c in group] == list(order)


def test_the_fixed_order_ascends_and_a_listed_one_is_kept():
    rng = generator(0, "class order")

    assert arrange_classes(4, "fixed", rng) == (0, 1, 2, 3)
    assert arrange_classes(4, [2, 0, 3, 1], rng) == (2, 0, 3, 1)


def test_a_shuffled_order_is_a_permutation_that_follows_the_seed():
    one, again, other = (
        arrange_classes(100, "shuffled", generator(seed, "class order")) for seed in (1, 1, 2)
    )

    assert one == again
    assert one != other
    assert sorted(one) == list(range(100))
