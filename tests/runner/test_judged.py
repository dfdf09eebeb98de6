from __future__ import annotations

import math

import pytest
import torch

from clrun.metrics import confusion_entries
from clrun.runner.judged import detail_of, judged, logits_of


class Certain:
    """A strategy whose logits are the logarithms of given probabilities, row by row."""

    def __init__(self, probabilities: list[list[float]]) -> None:
        self.logits = torch.tensor(probabilities).log() + 3.0  # a shift means nothing
        self.passes = 0

    def predict(self, x: torch.Tensor) -> torch.Tensor:
        self.passes += 1
        return self.logits[x[:, 0, 0, 0].long()]


def images(count: int) -> torch.Tensor:
    return torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1)


PROBABILITIES = [[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]]
TRUE = torch.tensor([0, 1, 1])


@pytest.mark.parametrize("at_once", [1, 4, 2**20])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_probabilities_are_the_softmax_of_the_logits_in_one_forward_pass(
    size, at_once, monkeypatch
):
    monkeypatch.setattr("clrun.runner.judged.LOGITS_AT_ONCE", at_once)
    strategy = Certain([*PROBABILITIES, [0.3, 0.7]])
    true = torch.tensor([0, 1, 1, 0])  # the labels of no two minibatches are the same

    said = judged(strategy, images(4).split(size), true)

    assert strategy.passes == math.ceil(4 / size)
    assert said.guess.tolist() == [0, 0, 1, 1]
    assert said.sureness.tolist() == pytest.approx([0.9, 0.6, 0.8, 0.7])
    assert said.truth.exp().tolist() == pytest.approx([0.9, 0.4, 0.8, 0.3])


def test_probabilities_of_logits_in_16_bits_are_computed_in_32():
    strategy = Certain([[0.5, 0.5]])
    strategy.logits = torch.zeros(1, 1000, dtype=torch.bfloat16)

    said = judged(strategy, [images(1)], TRUE[:1])

    assert said.truth.tolist() == pytest.approx([-math.log(1000)])  # -6.9375 in bfloat16


def test_logits_of_many_rows_are_looked_at_together_and_not_all_at_once(monkeypatch):
    monkeypatch.setattr("clrun.runner.judged.LOGITS_AT_ONCE", 4)  # of two rows
    strategy, passes = Certain(PROBABILITIES * 3), []

    for logits in logits_of(strategy, images(9).split(1)):
        passes.append((strategy.passes, len(logits)))

    assert passes == [(2, 2), (4, 2), (6, 2), (8, 2), (9, 1)]


def test_a_strategy_that_records_gradients_as_it_predicts_is_judged_too():
    weight = torch.ones(1, requires_grad=True)

    class Recording(Certain):
        def predict(self, x):
            return super().predict(x) * weight

    said = judged(Recording(PROBABILITIES), images(3).split(1), TRUE)

    assert not any(part.requires_grad for part in said)
    assert detail_of(said, TRUE, 2).ece is not None


def test_the_detail_is_of_the_rows_that_count():
    strategy = Certain([*PROBABILITIES, [0.5, 0.5]])
    y = torch.cat([TRUE, torch.tensor([0])])

    detail = detail_of(judged(strategy, images(4).split([2, 0, 2]), y), TRUE, 2)

    assert detail.confusion.tolist() == confusion_entries(TRUE, [0, 0, 1], 2).tolist()
    assert detail.nll == pytest.approx(-(math.log(0.9) + math.log(0.4) + math.log(0.8)) / 3)
    assert detail.ece == pytest.approx((0.1 + 0.6 + 0.2) / 3)


def test_a_true_class_of_probability_0_leaves_no_likelihood_and_the_rest():
    said = judged(Certain([[1.0, 0.0]]), [images(1)], TRUE[1:2])

    detail = detail_of(said, TRUE[1:2], 2)

    assert detail.nll is None
    assert detail.ece == 1.0


def test_no_rows_have_no_detail_and_no_confusion():
    detail = detail_of(judged(Certain(PROBABILITIES), [], TRUE[:0]), TRUE[:0], 2)

    assert (detail.ece, detail.nll, detail.confusion.tolist()) == (None, None, [])
