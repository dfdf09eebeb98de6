from __future__ import annotations

from copy import deepcopy

import pytest
import torch

from clrun.strategies.naive import Naive
from clrun.strategies.step import Position
from clrun.strategies.synaptic_intelligence import SynapticIntelligence


@pytest.fixture
def naive(descent_keys, parts_of, recording):
    """A Naive whose updates are recorded, its keys changed as given."""

    def make(*, plugins=(), seed=0, **changes) -> Naive:
        parts = parts_of(transform=recording, plugins=plugins, seed=seed)
        return Naive(Naive.Config(**{**descent_keys, **changes}), parts)

    return make


def learn(strategy, *experiences) -> list[list]:
    return [list(strategy.learn(experience)) for experience in experiences]


def by_epoch(minibatches: list[list[int]], updates: int) -> list[list[int]]:
    """The rows of each epoch, in the order of training."""
    epochs = [minibatches[i : i + updates] for i in range(0, len(minibatches), updates)]
    return [[row for minibatch in epoch for row in minibatch] for epoch in epochs]


def test_every_epoch_trains_on_each_row_once(naive, numbered, recording):
    learn(naive(train_epochs=3), numbered(0))

    epochs = by_epoch(recording.minibatches, updates=3)
    assert [len(rows) for rows in recording.minibatches] == [32, 32, 16] * 3
    assert [sorted(rows) for rows in epochs] == [list(range(80))] * 3


def test_every_epoch_and_every_experience_has_an_order_of_its_own(naive, numbered, recording):
    learn(naive(train_epochs=2), numbered(0), numbered(1))

    places = [[row % 1000 for row in rows] for rows in by_epoch(recording.minibatches, updates=3)]
    assert len({tuple(order) for order in [*places, sorted(places[0])]}) == 5


def test_a_minibatch_larger_than_the_experience_is_the_whole_experience(naive, numbered):
    steps = list(naive(train_mb_size=500, train_epochs=2).learn(numbered(0)))

    assert [(step.patterns, step.replayed, step.iterations) for step in steps] == [(80, 0, 1)] * 2


def test_an_experience_of_one_row_can_be_learnt(naive, numbered):
    (step,) = naive().learn(numbered(0, rows=1, classes=[0]))

    assert step.patterns == 1
    assert step.ends_epoch


def test_training_starts_at_the_position_it_is_given(naive, numbered, recording):
    whole = naive(train_epochs=2)
    learn(whole, numbered(0))
    minibatches = list(recording.minibatches)
    recording.minibatches.clear()

    steps = list(naive(train_epochs=2).learn(numbered(0), Position(0, 2)))

    assert [(step.epoch, step.iteration) for step in steps] == [(0, 2), (1, 0), (1, 1), (1, 2)]
    assert recording.minibatches == minibatches[2:]


def test_nothing_is_stored(naive, numbered):
    strategy = naive()
    learn(strategy, numbered(0))

    held = strategy.memory_rows()

    assert held == {"rows": 0, "bytes": 0, "per_class": {}, "per_experience": {}}


def weights(strategy) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in strategy.learner.model.parameters()])


def test_synaptic_intelligence_changes_nothing_before_the_second_experience(naive, numbered):
    config = SynapticIntelligence.Config(ewc_lambda=1e4)
    plain, held_back = naive(), naive(plugins=(SynapticIntelligence(config),))
    learn(plain, numbered(0))
    learn(held_back, numbered(0))
    after_first = weights(plain), weights(held_back)

    learn(plain, numbered(1))
    learn(held_back, numbered(1))

    assert torch.equal(*after_first)
    moved = [
        (now - then).norm()
        for now, then in zip((weights(plain), weights(held_back)), after_first, strict=True)
    ]
    assert moved[1] < moved[0]


def test_the_penalty_of_synaptic_intelligence_is_part_of_the_loss(naive, numbered):
    plugin = SynapticIntelligence(SynapticIntelligence.Config(ewc_lambda=1e4))
    strategy = naive(plugins=(plugin,))
    learn(strategy, numbered(0))
    learning = strategy.learn(numbered(1))
    next(learning)  # before the first update nothing has moved: the penalty is 0
    same_weights = deepcopy(strategy.state_dict())
    without = naive()
    without.learner.model.load_state_dict(same_weights["model"])
    penalty = plugin.penalty().item()

    with_penalty, plain = next(learning), next(without.learn(numbered(1), Position(0, 1)))

    assert penalty > 0
    assert float(with_penalty.loss) == pytest.approx(float(plain.loss) + penalty)
