from __future__ import annotations

import math

import pytest
import torch

from clrun.metrics import confusion_entries
from clrun.runner.judged import detail_of, judged


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


@pytest.mark.parametrize("size", [1, 2, 3])
def test_probabilities_are_the_softmax_of_the_logits_in_one_forward_pass(size):
    strategy = Certain(PROBABILITIES)

    said = judged(strategy, images(3).split(size), TRUE)

    assert strategy.passes == math.ceil(3 / size)
    assert said.guess.tolist() == [0, 0, 1]
    assert said.sureness.tolist() == pytest.approx([0.9, 0.6, 0.8])
    assert said.truth.exp().tolist() == pytest.approx([0.9, 0.4, 0.8])


def test_the_detail_is_of_all_parts_and_of_the_rows_that_count():
    strategy = Certain([*PROBABILITIES, [0.5, 0.5]])
    y = torch.cat([TRUE, torch.tensor([0])])
    parts = [
        judged(strategy, images(2).split(2), y[:2]),
        judged(strategy, [], y[:0]),
        judged(strategy, [images(4)[2:]], y[2:]),
    ]

    detail = detail_of(parts, TRUE, 2)

    assert detail.confusion.tolist() == confusion_entries(TRUE, [0, 0, 1], 2).tolist()
    assert detail.nll == pytest.approx(-(math.log(0.9) + math.log(0.4) + math.log(0.8)) / 3)
    assert detail.ece == pytest.approx((0.1 + 0.6 + 0.2) / 3)


def test_a_true_class_of_probability_0_leaves_no_likelihood_and_the_rest():
    detail = detail_of(
        [judged(Certain([[1.0, 0.0]]), [images(1)], torch.tensor([1]))], TRUE[1:2], 2
    )

    assert detail.nll is None
    assert detail.ece == 1.0


def test_no_rows_have_no_detail_and_no_confusion():
    detail = detail_of([judged(Certain(PROBABILITIES), [], TRUE[:0])], TRUE[:0], 2)

    assert (detail.ece, detail.nll, detail.confusion.tolist()) == (None, None, [])
