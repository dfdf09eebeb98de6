from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clrun.memory.composition import Composition, proportional_shares
from clrun.memory.minibatches import plan_epoch


def plan(current: int, held: int, minibatch: int, seed: int = 0):
    y, held_y = torch.zeros(current, dtype=torch.int64), torch.zeros(held, dtype=torch.int64)
    rng = torch.Generator().manual_seed(seed)
    return plan_epoch(Composition.proportional(current, held, minibatch), y, held_y, held_y, rng)


@pytest.mark.parametrize(
    ("current", "expected", "iterations", "last"),
    [
        pytest.param(300, (21, 107), 15, 6, id="NICv2-391"),
        pytest.param(600, (37, 91), 17, 8, id="NICv2-196"),
        pytest.param(1500, (65, 63), 24, 5, id="NICv2-79"),
        pytest.param(11990, (114, 14), 106, 20, id="NC"),
        pytest.param(14989, (117, 11), 129, 13, id="NI"),
        pytest.param(10, (1, 127), 10, 1, id="tiny"),
    ],
)
def test_minibatches_of_128_with_1500_stored_rows_are_those_of_the_reference(
    current, expected, iterations, last
):
    epoch = plan(current, 1500, 128)

    assert proportional_shares(current, 1500, 128) == expected
    assert len(epoch) == iterations
    assert {(len(m.current), len(m.memory)) for m in list(epoch)[:-1]} == {expected}
    assert (len(epoch[iterations - 1].current), len(epoch[iterations - 1].memory)) == (
        last,
        expected[1],
    )


@pytest.mark.parametrize(
    ("current", "held", "minibatch", "expected"),
    [
        pytest.param(300, 0, 128, (128, 0), id="nothing stored"),
        pytest.param(40, 40, 10, (5, 5), id="fewer stored than room for"),
        pytest.param(40, 30, 128, (40, 30), id="all fits into one minibatch"),
        pytest.param(200, 20, 128, (116, 12), id="the memory keeps its share"),
        pytest.param(300, 50, 128, (110, 18), id="the memory keeps its share of two"),
        pytest.param(1, 1500, 128, (1, 127), id="one new row"),
        pytest.param(1000, 1, 2, (1, 1), id="the smallest minibatch"),
    ],
)
def test_sizes_follow_the_rows_that_are_really_stored(current, held, minibatch, expected):
    assert proportional_shares(current, held, minibatch) == expected


@given(current=st.integers(1, 400), held=st.integers(0, 400), minibatch=st.integers(2, 150))
@settings(deadline=None, max_examples=60)
def test_every_new_row_is_used_once_and_every_stored_one_equally_often(current, held, minibatch):
    epoch = list(plan(current, held, minibatch))

    new = torch.cat([m.current for m in epoch])
    stored = torch.cat([m.memory for m in epoch])
    counts = torch.bincount(stored, minlength=held)
    assert sorted(new.tolist()) == list(range(current))
    assert all(len(m.current) + len(m.memory) <= minibatch for m in epoch)
    assert held == 0 or int(counts.max() - counts.min()) <= 1
    assert held == 0 or all(len(m.memory) for m in epoch)


def test_stored_rows_come_in_another_order_each_epoch():
    first, second = plan(300, 1500, 128, seed=0), plan(300, 1500, 128, seed=1)

    assert not torch.equal(first[0].memory, second[0].memory)
