from __future__ import annotations

import math
from copy import deepcopy

import pytest
import torch
from torch import Tensor

from clrun.strategies.lwf import LwF
from clrun.strategies.naive import Naive

KEYS = {"lwf_lambda": 0.7, "temperature": 2.0, "weighting": "constant"}


@pytest.fixture
def lwf(descent_keys, parts_of):
    """An LwF, its keys changed as given."""

    def make(**changes) -> LwF:
        return LwF(LwF.Config(**{**descent_keys, **KEYS, **changes}), parts_of())

    return make


@pytest.fixture
def naive(descent_keys, parts_of) -> Naive:
    return Naive(Naive.Config(**descent_keys), parts_of())


def learn(strategy, *experiences) -> list:
    return [step for experience in experiences for step in strategy.learn(experience)]


def logits_of_anything() -> Tensor:
    return torch.randn(8, 6, generator=torch.Generator().manual_seed(0))


def weights(strategy) -> Tensor:
    return torch.cat([p.detach().flatten() for p in strategy.learner.model.parameters()])


def softened(logits: list[float], classes: list[int], temperature: float) -> list[float]:
    """A softmax over some of the classes."""
    powers = [math.exp(logits[k] / temperature) for k in classes]
    return [power / sum(powers) for power in powers]


def written_out(logits: Tensor, old: Tensor, y: Tensor, old_classes: list[int]) -> list[float]:
    """The mean criterion and the mean distillation of a minibatch, at temperature 2."""
    labels = kept = 0.0
    for now, before, label in zip(logits.tolist(), old.tolist(), y.tolist(), strict=True):
        labels -= math.log(softened(now, list(range(6)), 1)[label])
        p, q = softened(before, old_classes, 2), softened(now, old_classes, 2)
        kept -= sum(a * math.log(b) for a, b in zip(p, q, strict=True))
    return [labels / len(y), kept / len(y)]


@pytest.mark.parametrize(
    ("weighting", "experience", "weights_of"),
    [
        ("constant", 1, (1, 0.7)),
        ("constant", 2, (1, 0.7)),
        ("experience", 1, (1 / 2, 0.7 / 2)),
        ("experience", 2, (1 / 3, 0.7 * 2 / 3)),
    ],
)
def test_the_loss_is_the_criterion_and_the_distance_from_the_old_answers(
    weighting, experience, weights_of, lwf, numbered
):
    strategy, rows = lwf(weighting=weighting), numbered(experience, rows=32)
    learn(strategy, *map(numbered, range(experience)))
    old = strategy.predict(rows.train.x)
    with torch.no_grad():  # else the answers are still the old ones
        strategy.learner.model.output.weight.mul_(1.5)
    logits = strategy.predict(rows.train.x)

    (step,) = learn(strategy, rows)

    labels, kept = written_out(logits, old, rows.train.y, list(range(2 * experience)))
    expected = weights_of[0] * labels + weights_of[1] * kept
    assert float(step.loss) == pytest.approx(expected, rel=1e-4)


def test_without_weight_it_is_naive_bit_for_bit_and_with_weight_it_is_not(lwf, naive, numbered):
    without, held = lwf(lwf_lambda=0.0), lwf()

    for strategy in (without, held, naive):
        learn(strategy, numbered(0))
    after_first = [weights(strategy) for strategy in (without, held, naive)]
    for strategy in (without, held, naive):
        learn(strategy, numbered(1))

    assert all(torch.equal(after_first[0], other) for other in after_first)
    assert torch.equal(weights(without), weights(naive))
    assert not torch.equal(weights(held), weights(naive))


def test_while_the_answers_are_the_old_ones_nothing_pulls_at_them(lwf, naive, numbered):
    held, free = lwf(lwf_lambda=100.0), naive
    learn(held, numbered(0))
    learn(free, numbered(0))

    next(held.learn(numbered(1)))
    next(free.learn(numbered(1)))

    torch.testing.assert_close(weights(held), weights(free), rtol=1e-4, atol=1e-5)


def test_answers_on_new_rows_stay_near_the_old_ones(lwf, numbered):
    x = numbered(1).train.x

    def drift(strategy) -> float:
        learn(strategy, numbered(0))
        before = (strategy.predict(x)[:, :2] / 2).softmax(1)
        learn(strategy, numbered(1))
        return float(((strategy.predict(x)[:, :2] / 2).softmax(1) - before).norm())

    held, free = (drift(lwf(lwf_lambda=weight, train_epochs=6)) for weight in (10.0, 0.0))
    assert held < free / 2


def test_classes_of_all_earlier_experiences_are_kept_in_a_resumed_run_too(lwf, numbered):
    strategy, resumed = lwf(), lwf()
    learn(strategy, numbered(0, classes=[4, 1]), numbered(1, classes=[1, 3]))

    resumed.load_state_dict(deepcopy(strategy.state_dict()))

    assert resumed.old_classes == [1, 3, 4]
    losses = [[float(s.loss) for s in s_.learn(numbered(2))] for s_ in (strategy, resumed)]
    assert losses[0] == losses[1]


def kept_apart(logits: Tensor, old: Tensor, groups: list[list[int]]) -> float:
    """The distillations of each group of classes, summed: mean over rows, at temperature 2."""
    total = 0.0
    for now, before in zip(logits.tolist(), old.tolist(), strict=True):
        for classes in groups:
            p, q = softened(before, classes, 2), softened(now, classes, 2)
            total -= sum(a * math.log(b) for a, b in zip(p, q, strict=True))
    return total / len(logits)


def test_with_separate_heads_each_is_kept_for_itself(lwf, numbered):
    strategy, rows = lwf(active="experience"), numbered(2, rows=32)
    learn(strategy, numbered(0, classes=[4, 0]), numbered(1, classes=[3, 1]))
    rows = numbered(2, rows=32, classes=[5, 2])
    old = strategy.predict(rows.train.x)
    with torch.no_grad():  # else the answers are still the old ones
        strategy.learner.model.output.weight.mul_(1.5)
    logits = strategy.predict(rows.train.x)

    (step,) = learn(strategy, rows)

    labels = [[4, 0], [3, 1], [5, 2]][2]
    own = [
        -math.log(softened(z, labels, 1)[labels.index(k)])
        for z, k in zip(logits.tolist(), rows.train.y.tolist(), strict=True)
    ]
    expected = sum(own) / 32 + 0.7 * kept_apart(logits, old, [[0, 4], [1, 3]])
    assert float(step.loss) == pytest.approx(expected, rel=1e-4)


def test_what_keeps_the_old_heads_trains_them_and_never_the_new_one(lwf, numbered):
    strategy = lwf(active="experience", lwf_lambda=2.0)
    learn(strategy, numbered(0), numbered(1))
    groups = strategy._kept_together(2)
    logits = logits_of_anything().requires_grad_()

    strategy._distance(logits, logits.detach() ** 2, groups).backward()
    before = strategy.learner.model.output.weight.detach().clone()
    learn(strategy, numbered(2))

    assert [g.tolist() for g in groups] == [[0, 1], [2, 3]]
    assert (logits.grad != 0).any(0).tolist() == [True] * 4 + [False] * 2
    moved = strategy.learner.model.output.weight.detach() != before
    assert moved.any(1).tolist() == [True] * 6


@pytest.mark.parametrize("active", ["all", "experience"])
def test_the_gradient_of_what_keeps_is_zero_at_the_old_answers(active, lwf, numbered):
    strategy = lwf(active=active)
    learn(strategy, numbered(0), numbered(1))
    logits = logits_of_anything().requires_grad_()

    strategy._distance(logits, logits.detach().clone(), strategy._kept_together(2)).backward()

    torch.testing.assert_close(logits.grad, torch.zeros(8, 6), rtol=0, atol=1e-7)


def test_separate_heads_without_weight_are_naive_bit_for_bit(lwf, descent_keys, parts_of, numbered):
    keys = {"active": "experience", "l2": 0.01, "momentum": 0.9}
    free = Naive(Naive.Config(**{**descent_keys, **keys}), parts_of())
    without, held = lwf(lwf_lambda=0.0, **keys), lwf(**keys)

    for strategy in (free, without, held):
        learn(strategy, numbered(0), numbered(1), numbered(2))

    assert torch.equal(weights(without), weights(free))
    assert not torch.equal(weights(held), weights(free))
