"""Replay with a mean loss for current and one for replayed rows, and with several passes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

import clrun
from clrun.errors import ConfigError
from clrun.memory.storage_policy import ReservoirStoragePolicy
from clrun.strategies.er_ace import ERACE
from clrun.strategies.replay import Replay

KEYS = {
    "mem_size": 20,
    "mix": "add",
    "memory_mb_size": 8,
    "balance": "none",
    "epoch_length": "current",
    "memory_update": "experience",
}


@pytest.fixture
def strategy(descent_keys, parts_of, recording):
    """(class) -> a strategy with a reservoir whose rows are recorded, its keys changed as given."""

    def make(kind: type[Replay] = Replay, **changes):
        policy = ReservoirStoragePolicy(ReservoirStoragePolicy.Config())
        config = kind.Config(**{**descent_keys, **KEYS, **changes})
        return kind(config, parts_of(transform=recording, storage_policy=policy))

    return make


def learn(strategy, *experiences) -> list:
    return [step for experience in experiences for step in strategy.learn(experience)]


def weights(strategy) -> list[Tensor]:
    return [p.detach().double().clone() for p in strategy.learner.model.parameters()]


@pytest.mark.parametrize(
    ("weight", "replayed"),
    [(0.3, (0, 0.3, 0.3)), (1, (0, 1, 1)), ("per_experience", (0, 1 / 2, 2 / 3))],
)
def test_a_run_is_that_of_the_weighted_means_written_out(
    weight, replayed, strategy, numbered, recording
):
    trained, experiences = strategy(replay_weight=weight), [numbered(k) for k in range(3)]
    w = [values.requires_grad_() for values in weights(trained)]
    x = {e.index * 1000 + i: e.train.x[i] for e in experiences for i in range(80)}
    y = {e.index * 1000 + i: int(e.train.y[i]) for e in experiences for i in range(80)}

    steps = [(e.index, step) for e in experiences for step in trained.learn(e)]

    for (experience, step), rows in zip(steps, recording.minibatches, strict=True):
        images = torch.stack([x[r] for r in rows]).flatten(1).double() / 255
        logits = torch.tanh(images @ w[0].T + w[1]) @ w[2].T + w[3]
        labels, new = torch.tensor([y[r] for r in rows]), len(rows) - step.replayed
        loss = cross_entropy(logits[:new], labels[:new])
        if step.replayed:
            past = cross_entropy(logits[new:], labels[new:])
            loss = (1 - replayed[experience]) * loss + replayed[experience] * past
        assert float(step.loss) == pytest.approx(float(loss.detach()), rel=1e-4)
        with torch.no_grad():
            for values, gradient in zip(w, torch.autograd.grad(loss, w), strict=True):
                values -= 0.1 * gradient
    assert sum(step.replayed for _, step in steps) == 8 * 6  # three updates of the second and third
    for values, expected in zip(weights(trained), w, strict=True):
        torch.testing.assert_close(values, expected.detach(), rtol=1e-4, atol=1e-5)


def test_without_a_weight_all_rows_have_one_mean(strategy, numbered):
    """8 of 24 rows are replayed, so that one mean over them weighs these by a third."""
    joint, third = strategy(train_mb_size=16), strategy(train_mb_size=16, replay_weight=1 / 3)

    for e in (numbered(0), numbered(1)):
        losses = [[float(step.loss) for step in each.learn(e)] for each in (joint, third)]

        assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_half_the_weight_each_halves_the_loss_of_er_ace(strategy, numbered):
    usual, halved = strategy(ERACE), strategy(ERACE, replay_weight=0.5, lr=0.2)
    for each in (usual, halved):
        learn(each, numbered(0))
        each.learner.model.load_state_dict(usual.learner.model.state_dict())
        each.memory.load_state_dict(usual.memory.state_dict())

    losses = [[float(step.loss) for step in each.learn(numbered(1))] for each in (usual, halved)]

    assert losses[1] == pytest.approx([loss / 2 for loss in losses[0]], rel=1e-4)


@pytest.mark.parametrize("weight", [-0.1, 1.5, "half"])
def test_other_weights_are_refused(weight):
    with pytest.raises(ConfigError, match=f"^strategy.replay_weight={weight}: must be "):
        clrun.compose(["strategy=replay", f"strategy.replay_weight={weight}"])


@pytest.mark.parametrize("passes", [1, 3])
def test_rows_are_learnt_from_several_times_and_offered_once(
    passes, strategy, numbered, recording, monkeypatch
):
    trained = strategy(memory_update="minibatch", updates_per_minibatch=passes, train_epochs=2)
    learn(trained, numbered(0))
    seen, offered = len(recording.minibatches), []
    offer = trained.memory.offer

    def noted(rows, *others):
        offered.append((len(recording.minibatches) - seen, len(rows.y)))
        offer(rows, *others)

    monkeypatch.setattr(trained.memory, "offer", noted)
    steps = learn(trained, numbered(1))

    assert [step.replayed for step in steps] == [8] * (2 * 3 * passes)
    assert offered == [(passes, 32), (2 * passes, 32), (3 * passes, 16)]
    rows = recording.minibatches[seen : seen + passes]
    assert all(each[:32] == rows[0][:32] for each in rows)
    assert len({tuple(each[32:]) for each in rows}) == passes  # other remembered rows each time
