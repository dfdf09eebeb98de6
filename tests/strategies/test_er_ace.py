from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from clrun.memory.storage_policy import ReservoirStoragePolicy
from clrun.strategies.er_ace import ERACE
from clrun.strategies.replay import Replay

KEYS = {
    "mem_size": 20,
    "mix": "add",
    "memory_mb_size": 8,
    "balance": "none",
    "epoch_length": "current",
    "memory_update": "minibatch",
}


@pytest.fixture
def strategy(descent_keys, parts_of, recording):
    """(class) -> a strategy with a reservoir whose rows are recorded, its keys changed as given."""

    def make(kind: type[Replay] = ERACE, **changes):
        policy = ReservoirStoragePolicy(ReservoirStoragePolicy.Config())
        config = kind.Config(**{**descent_keys, **KEYS, **changes})
        return kind(config, parts_of(transform=recording, storage_policy=policy))

    return make


def learn(strategy, *experiences) -> list:
    return [step for experience in experiences for step in strategy.learn(experience)]


def weights(strategy) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in strategy.learner.model.parameters()]


def logits_of(w: list[Tensor], x: Tensor) -> Tensor:
    """What the model of these tests computes for uint8 images, written out."""
    return torch.tanh(x.flatten(1).float() / 255 @ w[0].T + w[1]) @ w[2].T + w[3]


def loss_of_a_row(logits: Tensor, label: int, classes: set[int]) -> Tensor:
    """Minus the log of the label's share among these classes."""
    return -(logits[label].exp() / sum(logits[k].exp() for k in classes)).log()


def mean(losses: list[Tensor]) -> Tensor:
    return torch.stack(losses).mean()


def test_a_run_is_that_of_the_two_losses_written_out(strategy, numbered, recording):
    trained, experiences = strategy(train_epochs=2), [numbered(0), numbered(1)]
    w = [values.requires_grad_() for values in weights(trained)]
    x = {e.index * 1000 + i: e.train.x[i] for e in experiences for i in range(80)}
    y = {e.index * 1000 + i: int(e.train.y[i]) for e in experiences for i in range(80)}

    steps = learn(trained, *experiences)

    for step, rows in zip(steps, recording.minibatches, strict=True):
        logits, labels = logits_of(w, torch.stack([x[r] for r in rows])), [y[r] for r in rows]
        new = len(rows) - step.replayed
        beside = set(labels[:new])
        losses = [loss_of_a_row(z, k, beside) for z, k in zip(logits, labels, strict=True)][:new]
        past = [loss_of_a_row(z, k, set(range(6))) for z, k in zip(logits, labels, strict=True)]
        loss = mean(losses) + (mean(past[new:]) if step.replayed else 0)
        assert float(step.loss) == pytest.approx(float(loss.detach()), rel=1e-4)
        gradients = torch.autograd.grad(loss, w)
        with torch.no_grad():
            for values, gradient in zip(w, gradients, strict=True):
                values -= 0.1 * gradient
    assert sum(step.replayed for step in steps) == 8 * 11  # all updates but the first
    torch.testing.assert_close(weights(trained), [v.detach() for v in w], rtol=1e-4, atol=1e-5)


def test_current_rows_leave_the_head_of_other_classes_as_it_is(strategy, numbered):
    trained = strategy(memory_update="experience")
    before = trained.learner.model.output.weight.detach().clone()

    learn(trained, numbered(0))

    after = trained.learner.model.output.weight.detach()
    assert torch.equal(after[2:], before[2:])
    assert not torch.equal(after[:2], before[:2])


def test_it_is_not_plain_replay(strategy, numbered):
    asymmetric, plain = strategy(), strategy(Replay)

    learn(asymmetric, numbered(0), numbered(1))
    learn(plain, numbered(0), numbered(1))

    assert not torch.equal(weights(asymmetric)[2], weights(plain)[2])


def test_one_experience_of_all_classes_is_replay_with_a_mean_for_each_kind(strategy, numbered):
    ours, replay = strategy(replay_weight=0.5), strategy(Replay, replay_weight=0.5)
    everything = numbered(0, rows=64, classes=range(6))

    steps, replay_steps = learn(ours, everything), learn(replay, everything)

    assert [step.replayed for step in steps] == [0, 8]
    assert [float(step.loss) for step in steps] == [float(step.loss) for step in replay_steps]
    assert all(map(torch.equal, weights(ours), weights(replay)))


def test_the_numbers_that_classes_have_do_not_matter(strategy, numbered):
    """Unlike in the authors' code, which knows past classes by their smaller numbers."""
    one, other = strategy(balance="none"), strategy(balance="none")
    other_names = {0: 5, 1: 2, 2: 0, 3: 4, 4: 1, 5: 3}
    rows = [other_names[k] for k in range(6)]
    with torch.no_grad():
        head, renamed = one.learner.model.output, other.learner.model.output
        renamed.weight[rows], renamed.bias[rows] = head.weight.clone(), head.bias.clone()

    def steps(strategy, names) -> list[float]:
        found = []
        for index, classes in ((0, (0, 1)), (1, (2, 3))):
            e = numbered(index, classes=classes)
            e.train.y.copy_(torch.tensor([names[int(k)] for k in e.train.y]))
            found += [float(step.loss) for step in strategy.learn(e)]
        return found

    losses = steps(one, {k: k for k in range(6)})

    assert losses == pytest.approx(steps(other, other_names), rel=1e-5)


def test_yes_or_no_questions_are_asked_about_the_classes_beside_a_row(strategy, numbered):
    trained = strategy(criterion="binary_cross_entropy", memory_update="experience")
    w, (x, y) = weights(trained), numbered(0, rows=30).train

    (step,) = learn(trained, numbered(0, rows=30))

    loss = 0.0
    for row, label in zip(logits_of(w, x).tolist(), y.tolist(), strict=True):
        for k in (0, 1):
            yes = 1 / (1 + math.exp(-row[k]))
            loss -= math.log(yes if k == label else 1 - yes) / 30
    assert float(step.loss) == pytest.approx(loss, rel=1e-5)


def test_remembered_rows_compete_in_their_own_experience_where_heads_are_separate(
    strategy, numbered, recording
):
    trained = strategy(active="experience", memory_update="experience")
    learn(trained, numbered(0))
    w, e = weights(trained), [numbered(0), numbered(1, rows=30)]
    recording.minibatches.clear()

    (step,) = learn(trained, e[1])

    (rows,) = recording.minibatches
    x = torch.stack([e[r // 1000].train.x[r % 1000] for r in rows])
    labels = [int(e[r // 1000].train.y[r % 1000]) for r in rows]
    losses = [
        loss_of_a_row(z, k, {0, 1} if k < 2 else {2, 3})
        for z, k in zip(logits_of(w, x), labels, strict=True)
    ]
    new = len(rows) - step.replayed
    assert step.replayed == 8
    expected = float(mean(losses[:new]) + mean(losses[new:]))
    assert float(step.loss) == pytest.approx(expected, rel=1e-4)
