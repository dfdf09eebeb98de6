from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from clrun.memory.storage_policy import ReservoirStoragePolicy
from clrun.models.dropout import SeededDropout
from clrun.strategies.mir import MIR
from clrun.strategies.naive import Naive
from clrun.strategies.places import Place
from oracles.small_network import double, follow, gradient, row_losses, vector

KEYS = {
    "mem_size": 40,
    "memory_mb_size": 8,
    "candidates": 20,
    "candidates_from": "all",
    "memory_update": "minibatch",
}
RESERVOIR = ReservoirStoragePolicy(ReservoirStoragePolicy.Config())
HERE = Place(1, 0, 0, 3)


@pytest.fixture
def mir(descent_keys, parts_of, recording):
    """A MIR with a reservoir, whose rows are recorded, its keys and parts changed as given."""

    def make(parts=None, **changes) -> MIR:
        config = MIR.Config(**{**descent_keys, **KEYS, **changes})
        usual = {"storage_policy": RESERVOIR, "transform": recording}
        return MIR(config, parts_of(**usual, **(parts or {})))

    return make


def learn(strategy, *experiences) -> list:
    return [step for experience in experiences for step in strategy.learn(experience)]


def weights(strategy) -> Tensor:
    return vector(list(strategy.learner.model.parameters()))


Rows = Callable[[list[int]], tuple[Tensor, Tensor]]


def rows_of(*experiences) -> Rows:
    """(numbers) -> the images and classes of these numbered rows."""
    x = {e.index * 1000 + i: row for e in experiences for i, row in enumerate(e.train.x)}
    y = {e.index * 1000 + i: row for e in experiences for i, row in enumerate(e.train.y)}
    return lambda numbers: (
        torch.stack([x[n] for n in numbers]),
        torch.stack([y[n] for n in numbers]),
    )


def normalised() -> nn.Module:
    """A model with running statistics and dropout."""
    torch.manual_seed(0)
    layers = (nn.Flatten(), nn.Linear(16, 8), nn.BatchNorm1d(8), nn.ReLU(), SeededDropout(0.5))
    return nn.Sequential(*layers, nn.Linear(8, 6))


def written_out(w: list[Tensor], minibatches: list[list[int]], steps, rows: Rows, lr: float):
    """The replayed rows and the loss of each update; `w` changes in place."""
    read = iter(minibatches)
    for step in steps:
        x, y = rows(next(read))
        g, loss = gradient(w, x, y), row_losses(w, x, y).detach().mean()
        chosen = []
        if step.replayed:
            drawn = next(read)
            stepped = double(w)
            follow(stepped, lr * g)
            score = (row_losses(stepped, *rows(drawn)) - row_losses(w, *rows(drawn))).tolist()
            chosen = sorted(range(len(drawn)), key=lambda i: -score[i])[: step.replayed]
            past = rows([drawn[i] for i in chosen])
            loss = loss + row_losses(w, *past).detach().mean()
            g = g + gradient(w, *past)
        yield g, float(loss)


def test_a_run_is_that_of_the_rule_written_out(mir, numbered, recording):
    strategy, experiences = mir(momentum=0.9, l2=0.01), [numbered(0), numbered(1)]
    w, velocity = double(list(strategy.learner.model.parameters())), 0.0

    steps = learn(strategy, *experiences)

    rule = written_out(w, recording.minibatches, steps, rows_of(*experiences), 0.1)
    for step, (g, loss) in zip(steps, rule, strict=True):
        assert float(step.loss) == pytest.approx(loss, rel=1e-4)
        velocity = 0.9 * velocity + g + 0.01 * vector(w)
        follow(w, 0.1 * velocity)
    assert [step.replayed for step in steps] == [0, 8, 8, 8, 8, 8]
    torch.testing.assert_close(weights(strategy).double(), vector(w), rtol=1e-4, atol=1e-5)


def test_as_many_candidates_as_are_replayed_is_replay_with_a_mean_for_each_kind(
    mir, numbered, recording
):
    strategy, experiences = mir(candidates=8), [numbered(0), numbered(1)]
    w, rows = double(list(strategy.learner.model.parameters())), rows_of(*experiences)

    steps = learn(strategy, *experiences)

    read = iter(recording.minibatches)
    for step in steps:
        g = gradient(w, *rows(next(read)))
        if step.replayed:
            g = g + gradient(w, *rows(next(read)))
        follow(w, 0.1 * g)
    torch.testing.assert_close(weights(strategy).double(), vector(w), rtol=1e-4, atol=1e-5)


def test_the_choice_changes_what_is_learnt(mir, numbered):
    chosen, chance = mir(), mir(candidates=8)

    learn(chosen, numbered(0), numbered(1))
    learn(chance, numbered(0), numbered(1))

    assert not torch.equal(weights(chosen), weights(chance))


def scored(strategy: MIR, numbered) -> tuple[Tensor, Tensor, Tensor]:
    """Candidates' inputs and classes, and those chosen, in an update that has its gradients."""
    learner, rows, past = strategy.learner, numbered(1).train, numbered(0).train
    learner.begin(numbered(1))
    logits = learner.forward(learner.inputs(rows.x, HERE), HERE)
    update = learner.prepare(logits, rows.y, HERE)
    learner.gradients(learner.loss(logits, rows.y), update)
    inputs = learner.inputs(past.x, HERE)
    return inputs, past.y, strategy._chosen(inputs, past.y, HERE)[0]


def test_scoring_changes_no_weight_no_statistic_no_mode_and_no_gradient(mir, numbered, monkeypatch):
    strategy, looked = mir({"model": normalised()}), []
    model, choose = strategy.learner.model, strategy._chosen

    def state() -> list[object]:
        tensors = {**deepcopy(model.state_dict())}
        gradients = [p.grad.clone() for p in model.parameters()]
        return [tensors, gradients, [m.training for m in model.modules()]]

    def looking(*args):
        before = state()
        found = choose(*args)
        torch.testing.assert_close(state(), before, rtol=0, atol=0)
        looked.append(len(found[1]))
        return found

    monkeypatch.setattr(strategy, "_chosen", looking)
    learn(strategy, numbered(0), numbered(1))

    assert looked == [8] * 5


def test_dropout_after_scoring_is_that_without_scoring(mir, numbered, monkeypatch):
    """The third pass of an update that scores is the second of one that does not."""
    masks = []
    for candidates in (20, 8):
        strategy = mir({"model": normalised()}, candidates=candidates)
        list(strategy.learn(numbered(0, rows=32)))
        layer = strategy.learner.model[4]
        draw, seen = layer.mask, []
        monkeypatch.setattr(
            layer, "mask", lambda x, draw=draw, seen=seen: seen.append(draw(x)) or seen[-1]
        )
        next(strategy.learn(numbered(1)))
        masks.append(seen)

    assert [len(mask) for mask in masks[0]] == [32, 8]
    torch.testing.assert_close(masks[0], masks[1], rtol=0, atol=0)


def test_a_step_size_of_zero_harms_nobody(mir, numbered):
    strategy = mir(lr=0.0)

    inputs, y, chosen = scored(strategy, numbered)

    parameters = dict(strategy.learner.part.named_parameters())
    rise = strategy._rise(inputs, y, {n: p - 0.0 * p.grad for n, p in parameters.items()})
    assert rise.tolist() == [0.0] * len(y)
    assert torch.equal(chosen, inputs[:8])


def test_the_virtual_step_has_the_step_size_of_the_update(mir, numbered):
    """It is 0 where a schedule says so, and then the first ones are as good as any."""
    strategy = mir(schedule="step", schedule_milestones=[1], schedule_factor=1e-30, train_epochs=2)

    def chosen(epoch: int) -> Tensor:
        inputs, y, _ = scored(strategy, numbered)
        return strategy._chosen(inputs, y, HERE._replace(epoch=epoch))[0] - inputs[:8]

    assert chosen(0).any()
    assert not chosen(1).any()


def test_candidates_of_the_past_are_of_experiences_that_are_over(mir, numbered, recording):
    strategy = mir(candidates_from="past", train_epochs=2)

    steps = learn(strategy, numbered(0))
    recording.minibatches.clear()
    later = learn(strategy, numbered(1))

    assert {step.replayed for step in steps} == {0}
    assert {step.replayed for step in later} == {8}
    assert max(row for rows in recording.minibatches[1::2] for row in rows) < 1000
    assert set(strategy.memory_rows()["per_experience"]) == {0, 1}


def test_candidates_of_all_are_rows_of_this_experience_too(mir, numbered, recording):
    strategy = mir()

    learn(strategy, numbered(0), numbered(1))

    candidates = [row for rows in recording.minibatches if len(rows) == 20 for row in rows]
    assert min(candidates) < 1000 <= max(candidates)


def test_the_first_experience_is_naive_where_candidates_are_of_the_past(
    mir, numbered, descent_keys, parts_of
):
    ours, naive = mir(candidates_from="past"), Naive(Naive.Config(**descent_keys), parts_of())

    for strategy in (ours, naive):
        learn(strategy, numbered(0))

    assert torch.equal(weights(ours), weights(naive))


def test_passes_that_score_are_counted(mir, numbered):
    strategy = mir({"pattern_macs": 1000})

    learn(strategy, numbered(0, rows=64))

    forward = 16 * 8 + 8 * 6
    assert strategy.train_macs == 1000 * (32 + 32 + 8) + 2 * 20 * forward


def test_an_update_with_a_memory_gradient_that_is_not_finite_is_left_out(mir, numbered):
    strategy = mir(on_nan="skip")
    learner, compute = strategy.learner, strategy.learner.loss
    learner.loss = lambda logits, y: compute(logits, y) * (1.0 if len(y) > 8 else float("nan"))
    updates = strategy.learn(numbered(0, rows=64))
    next(updates)
    before = weights(strategy)

    step = next(updates)

    assert step.loss.isnan()
    assert torch.equal(weights(strategy), before)
    assert len(strategy.memory.exemplars) == 32


def test_fewer_candidates_than_replayed_rows_are_refused(mir):
    with pytest.raises(ValueError, match=r"^candidates=7: fewer than the 8 rows .* at least as"):
        mir(candidates=7)
    with pytest.raises(ValueError, match=r"^candidates=20: fewer than the 32 rows"):
        mir(memory_mb_size=None)
