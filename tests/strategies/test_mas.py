"""MAS against its definition, and what it does to training."""

from __future__ import annotations

import logging
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from clrun.images.patterns import Patterns
from clrun.strategies.mas import MAS
from clrun.strategies.naive import Naive
from oracles.importances import sensitivity


class Linear(nn.Module):
    """Answers that are linear in the image."""

    def __init__(self) -> None:
        super().__init__()
        self.output = nn.Linear(16, 6, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(x.flatten(1))


@pytest.fixture
def naive(descent_keys, parts_of):
    """(plugin, keys) -> a naive strategy that carries it."""

    def make(plugin: MAS, model: nn.Module | None = None, **changes) -> Naive:
        given = {} if model is None else {"model": model}
        keys = {**descent_keys, "train_epochs": 2, **changes}
        return Naive(Naive.Config(**keys), parts_of(plugins=(plugin,), **given))

    return make


def mas(**changes) -> MAS:
    return MAS(MAS.Config(**changes))


def learn(strategy, *experiences) -> None:
    for experience in experiences:
        for _ in strategy.learn(experience):
            pass


def inputs(experience) -> Tensor:
    return experience.train.x.float() / 255


def assert_importance(plugin: MAS, expected: dict[str, Tensor]) -> None:
    assert plugin.held.importance.keys() == expected.keys()
    for name, values in expected.items():
        found = plugin.held.importance[name].view(values.shape).double()
        torch.testing.assert_close(found, values, rtol=1e-4, atol=1e-6 * float(values.max()))


def test_of_a_linear_model_it_is_the_mean_of_answers_times_pixels(naive, numbered):
    plugin, rows = mas(mas_rows=None), numbered(0, rows=40)
    strategy = naive(plugin, Linear())

    learn(strategy, rows)

    x = inputs(rows).flatten(1).double()
    answers = x @ strategy.learner.model.output.weight.detach().double().T
    expected = (2 * answers[:, :, None] * x[:, None]).abs().mean(0)
    assert_importance(plugin, {"output.weight": expected})


def test_it_is_the_mean_over_rows_summed_over_experiences(naive, numbered):
    plugin, expected = mas(mas_rows=None), {}
    strategy = naive(plugin)

    for index in range(2):
        rows = numbered(index, rows=40)
        learn(strategy, rows)
        for name, values in sensitivity(strategy.learner.model, inputs(rows)).items():
            expected[name] = expected.get(name, 0) + values

    assert_importance(plugin, expected)


def test_only_the_outputs_that_the_loss_knows_count(naive, numbered):
    plugin, rows = mas(mas_rows=None), numbered(0, rows=40)
    strategy = naive(plugin, active="experience")

    learn(strategy, rows)

    assert_importance(plugin, sensitivity(strategy.learner.model, inputs(rows), [[0, 1]] * 40))
    assert plugin.held.importance["output.bias"][2:].eq(0).all()


def test_labels_do_not_matter(naive, numbered):
    rows = numbered(0, rows=40)
    swapped = replace(rows, train=Patterns(rows.train.x, 1 - rows.train.y))
    plugin, other = mas(), mas()
    strategy, untaught = naive(plugin), naive(other)
    learn(strategy, rows)
    untaught.learner.model.load_state_dict(strategy.learner.model.state_dict())

    untaught.learner.begin(swapped)
    untaught.learner.end(swapped)

    for name, values in plugin.held.importance.items():
        assert torch.equal(other.held.importance[name], values)


def test_the_mean_of_absolute_values_is_not_the_absolute_value_of_the_mean(naive, numbered):
    plugin, rows = mas(mas_rows=None), numbered(0, rows=40)
    strategy = naive(plugin)
    learn(strategy, rows)
    model = strategy.learner.model

    norm = model(inputs(rows)).square().sum(1).mean()
    of_the_mean = torch.autograd.grad(norm, model.output.weight)[0].abs()

    assert plugin.held.importance["output.weight"].sum() > 1.01 * of_the_mean.sum()


def test_rows_are_drawn_by_the_seed(naive, numbered):
    def estimate(most: int | None) -> Tensor:
        plugin = mas(mas_rows=most)
        learn(naive(plugin), numbered(0, rows=60))
        return plugin.held.importance["output.weight"]

    assert torch.equal(estimate(10), estimate(10))
    assert not torch.equal(estimate(10), estimate(None))


def test_the_gradient_is_twice_lambda_times_omega_times_the_distance(naive, numbered):
    plugin = mas(mas_lambda=3.0)
    strategy = naive(plugin)
    learn(strategy, numbered(0), numbered(1))
    model = strategy.learner.model
    at_end = {name: p.detach().clone() for name, p in model.named_parameters()}
    plugin.before_experience(model, 2)
    assert plugin.penalty().item() == 0
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += torch.linspace(-1, 1, parameter.numel()).view(parameter.shape)
    model.zero_grad()

    plugin.penalty().backward()

    for name, parameter in model.named_parameters():
        omega = plugin.held.importance[name].view(parameter.shape)
        expected = 2 * 3.0 * omega * (parameter - at_end[name]).detach()
        torch.testing.assert_close(parameter.grad, expected)
        assert omega.gt(0).any()


def test_it_weighs_something_from_the_first_update_of_the_second_experience_on(naive, numbered):
    plugin = mas()
    strategy = naive(plugin)
    learn(strategy, numbered(0))
    assert strategy.vitals()["penalties"] == {"MAS": None}

    steps = strategy.learn(numbered(1))
    next(steps)

    assert plugin.penalty().item() > 0
    learn(strategy, numbered(2))
    assert strategy.vitals()["penalties"]["MAS"] > 0


def test_with_lambda_zero_nothing_is_ever_added(naive, numbered):
    plugin = mas(mas_lambda=0.0)
    strategy = naive(plugin)
    learn(strategy, numbered(0))

    plugin.before_experience(strategy.learner.model, 1)

    assert plugin.penalty() is None


def test_a_strong_penalty_keeps_old_answers(naive, numbered):
    def drift(mas_lambda: float) -> float:
        strategy = naive(mas(mas_lambda=mas_lambda), train_epochs=8)
        learn(strategy, numbered(0))
        before = strategy.predict(numbered(0).test.x).softmax(1)
        learn(strategy, numbered(1))
        return float((strategy.predict(numbered(0).test.x).softmax(1) - before).norm())

    assert drift(1.0) < 0.7 * drift(0.0)


@pytest.mark.parametrize(
    ("optimizer", "lr", "is_noted"),
    [("sgd", 0.1, True), ("sgd", 1e-4, False), ("adam", 0.1, False)],
)
def test_a_penalty_that_sgd_cannot_follow_is_noted(
    optimizer, lr, is_noted, naive, numbered, caplog
):
    plugin = mas(mas_lambda=20.0)
    strategy = naive(plugin, optimizer=optimizer, lr=lr, on_nan="skip")
    learn(strategy, numbered(0))
    assert not caplog.records

    with caplog.at_level(logging.WARNING, "clrun.note"):
        strategy.learner.begin(numbered(1))

    steepest = 2 * 20 * max(values.max().item() for values in plugin.held.importance.values())
    assert plugin.curvature() == pytest.approx(steepest)
    assert (steepest * lr > 2) == is_noted or optimizer == "adam"
    assert ("Use a smaller mas_lambda or strategy.lr" in caplog.text) == is_noted


def test_a_saved_state_does_not_change_afterwards(naive, numbered):
    plugin = mas()
    strategy = naive(plugin)
    learn(strategy, numbered(0))
    state = plugin.state_dict()
    before = deepcopy(state)

    learn(strategy, numbered(1))

    torch.testing.assert_close(state, before, rtol=0, atol=0)
