from __future__ import annotations

import math

import pytest
import torch

from clrun.runner.meter import Meter, Sums, fetched
from clrun.strategies.step import Step


def step(loss: float, correct: int, patterns: int, dtype=torch.float32) -> Step:
    return Step(torch.tensor(loss, dtype=dtype), torch.tensor(correct), patterns, 0, 0, 0, 1)


def test_means_weigh_every_pattern_the_same():
    meter = Meter()

    meter.add(step(1.0, 30, 30))
    meter.add(step(4.0, 0, 10))

    assert meter.read_interval() == (1.75, 0.75)


def test_an_interval_ends_when_it_is_read_and_the_epoch_goes_on():
    meter = Meter()
    meter.add(step(1.0, 10, 10))
    first = meter.read_interval()
    meter.add(step(3.0, 0, 10))
    second, epoch = meter.read_interval(), meter.read_epoch()
    meter.add(step(7.0, 5, 10))

    assert (first, second, epoch) == ((1.0, 1.0), (3.0, 0.0), (2.0, 0.5))
    assert meter.read_interval() == meter.read_epoch() == (7.0, 0.5)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_one_loss_that_is_no_number_is_seen_in_the_mean(bad):
    loss, accuracy = Sums().with_updates(fetched([step(1.0, 1, 10), step(bad, 1, 10)])).means()

    assert not math.isfinite(loss)
    assert accuracy == pytest.approx(0.1)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_an_update_that_was_left_out_is_counted_and_in_no_mean(bad):
    meter = Meter()
    meter.add(step(bad, 3, 10))

    assert meter.read_interval() == (None, None)
    meter.add(step(1.0, 1, 10))
    assert meter.read_interval() == meter.read_epoch() == (1.0, 0.1)
    assert meter.left_out == 1


def test_losses_of_half_precision_are_added_up_exactly():
    sums = Sums().with_updates(fetched([step(1.0, 1, 100, dtype=torch.bfloat16)] * 1000))

    assert sums.means() == (1.0, 0.01)


def test_an_epoch_tells_the_same_however_often_it_is_read_on_the_way():
    often, once = Meter(), Meter()

    for number in range(9):
        often.add(step(0.5 * number, number, 10 + number))
        once.add(step(0.5 * number, number, 10 + number))
        often.read_interval()

    assert often.read_epoch() == once.read_epoch()
