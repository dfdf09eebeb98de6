from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from clrun.memory.storage_policy import ReservoirStoragePolicy
from clrun.strategies.agem import AGEM, project
from clrun.strategies.naive import Naive
from oracles.small_network import double, follow, gradient, row_losses, vector

KEYS = {"mem_size": 40, "memory_mb_size": 16, "memory_update": "experience"}
RESERVOIR = ReservoirStoragePolicy(ReservoirStoragePolicy.Config())


@pytest.fixture
def agem(descent_keys, parts_of, recording):
    """An A-GEM whose rows are recorded, its keys and parts changed as given."""

    def make(parts=None, **changes) -> AGEM:
        config = AGEM.Config(**{**descent_keys, **KEYS, **changes})
        return AGEM(config, parts or parts_of(transform=recording))

    return make


def learn(strategy, *experiences) -> list:
    return [step for experience in experiences for step in strategy.learn(experience)]


def weights(strategy) -> Tensor:
    return vector(list(strategy.learner.model.parameters()))


def rows_of(*experiences):
    """(numbers) -> the images and classes of these numbered rows."""
    x = {e.index * 1000 + i: row for e in experiences for i, row in enumerate(e.train.x)}
    y = {e.index * 1000 + i: row for e in experiences for i, row in enumerate(e.train.y)}
    return lambda numbers: (
        torch.stack([x[n] for n in numbers]),
        torch.stack([y[n] for n in numbers]),
    )


def given(*gradients: list[float] | None) -> list[nn.Parameter]:
    """Parameters with these gradients, each [2, 1]."""
    made = []
    for values in gradients:
        parameter = nn.Parameter(torch.zeros(2, 1))
        parameter.grad = None if values is None else torch.tensor(values).view(2, 1)
        made.append(parameter)
    return made


def drawn(size: int, seed: int, scale: float = 1.0) -> list[Tensor]:
    """Random gradients of three parameters."""
    rng = torch.Generator().manual_seed(seed)
    return [scale * torch.randn(size, 3, generator=rng) for _ in range(3)]


def projected(own: list[Tensor], reference: list[Tensor]) -> list[Tensor]:
    parameters = [nn.Parameter(torch.zeros_like(g)) for g in own]
    for parameter, g in zip(parameters, own, strict=True):
        parameter.grad = g.clone()
    project(parameters, reference)
    return [parameter.grad for parameter in parameters]


def test_a_run_is_that_of_the_projection_written_out(agem, numbered, recording):
    keys = {"momentum": 0.9, "l2": 0.01, "train_epochs": 2}
    strategy, experiences = agem(**keys), [numbered(0), numbered(1), numbered(2)]
    w = double(list(strategy.learner.model.parameters()))
    rows, velocity, bent = rows_of(*experiences), 0.0, []

    steps = learn(strategy, *experiences)

    minibatches = iter(recording.minibatches)
    for step in steps:
        x, y = rows(next(minibatches))
        loss, g = float(row_losses(w, x, y).detach().mean()), gradient(w, x, y)
        if step.replayed:
            r = gradient(w, *rows(next(minibatches)))
            bent.append(bool(g @ r < 0))
            g = g - min(float(g @ r), 0.0) / float(r @ r) * r
        velocity = 0.9 * velocity + g + 0.01 * vector(w)
        follow(w, 0.1 * velocity)
        assert float(step.loss) == pytest.approx(loss, rel=1e-4)
    assert next(minibatches, None) is None
    assert [s.replayed for s in steps] == [0] * 6 + [16] * 12
    assert 2 <= sum(bent) <= 10
    torch.testing.assert_close(weights(strategy).double(), vector(w), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("scale", [1.0, 1e-20, 1e-30, 1e-42])
def test_a_gradient_against_the_reference_is_at_right_angles_to_it_afterwards(seed, scale):
    own, reference = drawn(500, seed), drawn(500, seed + 100, scale)
    g, r = vector(own).double(), vector(reference).double()
    if g @ r > 0:
        own = [-piece for piece in own]
        g = -g

    found = vector(projected(own, reference)).double()

    assert abs(found @ r) <= 1e-6 * g.norm() * r.norm()
    torch.testing.assert_close(found, g - (g @ r) / (r @ r) * r, rtol=1e-4, atol=1e-6)
    assert not torch.equal(found, g)


@pytest.mark.parametrize("seed", range(3))
def test_a_gradient_along_the_reference_stays_as_it_is(seed):
    own, reference = drawn(50, seed), drawn(50, seed + 100)
    if vector(own) @ vector(reference) < 0:
        reference = [-piece for piece in reference]

    assert torch.equal(vector(projected(own, reference)), vector(own))
    assert torch.equal(vector(projected(own, own)), vector(own))


def test_a_reference_of_zero_changes_nothing():
    own = drawn(50, 0)

    assert torch.equal(vector(projected(own, [torch.zeros(50, 3)] * 3)), vector(own))


def test_where_only_one_of_the_two_has_a_gradient_the_other_counts_as_zero():
    parameters = given([1.0, 0.0], None, [2.0, -1.0], None)

    project(parameters, [None, torch.tensor([[3.0], [0.0]]), torch.tensor([[-1.0], [0.0]]), None])

    share = 2 / 10  # g.r = -2, r.r = 9 + 1
    found = [None if p.grad is None else p.grad.flatten().tolist() for p in parameters]
    assert found[0] == [1.0, 0.0]
    assert found[1] == pytest.approx([share * 3, 0.0])
    assert found[2] == pytest.approx([2 - share, -1.0])
    assert found[3] is None


def test_the_first_experience_is_naive_bit_for_bit_and_the_second_is_not(
    agem, numbered, descent_keys, parts_of
):
    ours, naive = (
        agem(momentum=0.9),
        Naive(Naive.Config(**{**descent_keys, "momentum": 0.9}), parts_of()),
    )

    for strategy in (ours, naive):
        learn(strategy, numbered(0))
    first = weights(ours), weights(naive)
    for strategy in (ours, naive):
        learn(strategy, numbered(1))

    assert torch.equal(*first)
    assert not torch.equal(weights(ours), weights(naive))


def test_loss_on_remembered_rows_rises_less_than_without(agem, numbered, descent_keys, parts_of):
    ours, naive = (
        agem(mem_size=80, memory_mb_size=80),
        Naive(Naive.Config(**descent_keys), parts_of()),
    )

    def loss(strategy) -> float:
        w = double(list(strategy.learner.model.parameters()))
        return float(row_losses(w, *numbered(0).train).detach().mean())

    def rise(strategy) -> float:
        learn(strategy, numbered(0))
        before = loss(strategy)
        learn(strategy, numbered(1))
        return loss(strategy) - before

    assert rise(ours) < rise(naive) / 2


def test_a_random_subset_of_each_experience_is_kept_when_it_ends(agem, numbered):
    strategy = agem()

    learn(strategy, numbered(0), numbered(1))

    assert strategy.memory_rows()["per_experience"] == {0: 20, 1: 20}


def test_rows_are_offered_once_as_they_pass_where_the_memory_is_online(
    agem, numbered, parts_of, recording
):
    parts = parts_of(transform=recording, storage_policy=RESERVOIR)
    strategy = agem(parts, mem_size=1000, memory_update="minibatch", train_epochs=2)

    steps = learn(strategy, numbered(0))

    assert [step.replayed for step in steps] == [0, 16, 16, 16, 16, 16]
    assert len(strategy.memory.exemplars) == 80
    first, past = recording.minibatches[0], recording.minibatches[2]
    assert set(past) <= set(first)


def test_rows_are_drawn_uniformly_and_none_twice(agem, numbered, recording):
    strategy = agem(mem_size=20, memory_mb_size=5)

    learn(strategy, numbered(0, rows=20), numbered(1, rows=200 * 32))

    draws = [rows for rows in recording.minibatches if len(rows) == 5]
    counts = Counter(row for rows in draws for row in rows)
    expected = 200 * 5 / 20
    assert len(draws) == 200
    assert all(len(set(rows)) == 5 for rows in draws)
    assert len(counts) == 20
    assert sum((n - expected) ** 2 / expected for n in counts.values()) < 43.8  # of 1 in 1000 runs


def test_a_memory_smaller_than_a_draw_is_drawn_whole(agem, numbered):
    steps = learn(agem(mem_size=3), numbered(0), numbered(1))

    assert {step.replayed for step in steps} == {0, 3}


def test_a_penalty_belongs_to_the_gradient_that_is_projected_and_is_asked_for_once(
    agem, numbered, parts_of
):
    asked = []

    def penalty(update) -> Tensor:
        asked.append(len(update.logits))
        return 5 * update.model.output.bias.sum()

    plugin = SimpleNamespace(
        before_experience=lambda model, index: None,
        penalty=penalty,
        before_update=lambda update: None,
        after_update=lambda update: None,
        after_experience=lambda learnt: None,
        state_dict=dict,
    )
    strategy = agem(parts_of(plugins=(plugin,)))

    steps = learn(strategy, numbered(0), numbered(1))

    assert asked == [step.patterns for step in steps] == [32, 32, 16, 48, 48, 32]
    assert strategy.learner.model.output.bias.sum() < -6 * 5 * 0.1 * 6 / 2


def test_an_update_whose_reference_overflows_is_skipped(agem, numbered, parts_of):
    strategy = agem(parts_of(precision="fp16"))
    learn(strategy, numbered(0))
    learner, compute, calls = strategy.learner, strategy.learner.loss, []

    def overflowing(logits: Tensor, y: Tensor) -> Tensor:
        calls.append(len(y))
        return compute(logits, y) * (1e6 if len(y) == 16 else 1.0)

    learner.loss = overflowing
    before, scale = weights(strategy), learner.scaler.get_scale()

    next(strategy.learn(numbered(1)))

    assert calls == [32, 16]
    assert torch.equal(weights(strategy), before)
    assert learner.scaler.get_scale() == scale / 2


def test_an_update_is_left_out_whose_reference_is_not_finite(agem, numbered):
    strategy = agem(on_nan="skip", memory_update="minibatch")
    learner, compute = strategy.learner, strategy.learner.loss
    learner.loss = lambda logits, y: compute(logits, y) * (1.0 if len(y) > 16 else float("nan"))
    updates = strategy.learn(numbered(0, rows=64))
    next(updates)
    before = weights(strategy)

    step = next(updates)

    assert step.loss.isnan()
    assert torch.equal(weights(strategy), before)
    assert len(strategy.memory.exemplars) == 32
