"""The protocol of plugins, shown by two that share nothing: one reads rows, one reads updates."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, log_softmax, softmax

from clrun.strategies.descent_keys import DescentKeys
from clrun.strategies.learner import Learner
from clrun.strategies.naive import Naive
from clrun.strategies.places import Place
from clrun.strategies.plugin import Learnt, Update
from clrun.strategies.replay import Replay


class Pulling:
    """A pull back to the last experience's weights, by the squared gradients of its own rows.

    That is elastic weight consolidation with the empirical Fisher information, row by row.
    """

    def __init__(self, strength: float = 1.0) -> None:
        self.strength, self.held = strength, {}

    def before_experience(self, model: nn.Module, experience_index: int) -> None:
        pass

    def penalty(self, update: Update) -> Tensor | None:
        if not self.held:
            return None
        here = dict(update.model.named_parameters())
        pulls = [(f * (here[name] - theta) ** 2).sum() for name, (theta, f) in self.held.items()]
        return self.strength / 2 * torch.stack(pulls).sum()

    def before_update(self, update: Update) -> None:
        pass

    def after_update(self, update: Update) -> None:
        pass

    def after_experience(self, learnt: Learnt) -> None:
        learning = learnt.parameters
        fisher = {name: torch.zeros_like(p) for name, p in learning.items()}
        count = len(learnt.experience.train.y)
        for inputs, y in learnt.minibatches(1):
            loss = cross_entropy(learnt.forward(inputs), y)
            gradients = torch.autograd.grad(loss, list(learning.values()))
            for name, gradient in zip(learning, gradients, strict=True):
                fisher[name] += gradient.square() / count
        self.held = {name: (p.detach().clone(), fisher[name]) for name, p in learning.items()}

    def state_dict(self) -> dict[str, Any]:
        return deepcopy({"held": self.held})

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.held = deepcopy(state["held"])


class Remembering:
    """Distillation: answers stay near those of the model that learnt the experience before."""

    def __init__(self) -> None:
        self.old: nn.Module | None = None
        self.saved: dict[str, Tensor] | None = None
        self.seen: list[Update] = []

    def before_experience(self, model: nn.Module, experience_index: int) -> None:
        if self.saved is not None:
            self.old = deepcopy(model).eval().requires_grad_(False)
            self.old.load_state_dict(self.saved)

    def penalty(self, update: Update) -> Tensor | None:
        self.seen.append(update)
        if self.old is None:
            return None
        targets = softmax(self.old(update.inputs), 1)
        return -(targets * log_softmax(update.logits, 1)).sum(1).mean()

    def before_update(self, update: Update) -> None:
        self.gradient = update.model.output.weight.grad.clone()

    def after_update(self, update: Update) -> None:
        pass

    def after_experience(self, learnt: Learnt) -> None:
        self.saved = deepcopy(learnt.model.state_dict())

    def state_dict(self) -> dict[str, Any]:
        return {"saved": deepcopy(self.saved)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.saved = deepcopy(state["saved"])


REPLAY = {
    "mem_size": 20,
    "mix": "split",
    "memory_mb_size": None,
    "balance": "experience",
    "epoch_length": "current",
    "memory_update": "experience",
}


@pytest.fixture
def strategy(descent_keys, parts_of):
    """(class, plugins) -> a strategy that carries them through two epochs an experience."""

    def make(kind: type = Naive, *plugins: Any) -> Any:
        keys = {**descent_keys, "train_epochs": 2, **(REPLAY if kind is Replay else {})}
        return kind(kind.Config(**keys), parts_of(plugins=plugins))

    return make


def learn(strategy, *experiences) -> list[float]:
    return [float(step.loss) for e in experiences for step in strategy.learn(e)]


def weights(strategy) -> Tensor:
    return torch.cat([p.detach().flatten() for p in strategy.learner.model.parameters()])


def test_the_rows_of_an_experience_can_be_read_at_its_end(strategy, numbered):
    plugin = Pulling()
    trained = strategy(Naive, plugin)
    experience = numbered(0, rows=12)

    learn(trained, experience)

    model, expected = deepcopy(trained.learner.model), torch.zeros(6, 8)
    for x, y in zip(*experience.train, strict=True):
        model.zero_grad()
        cross_entropy(model(x[None].float() / 255), y[None]).backward()
        expected += model.output.weight.grad.square() / 12
    theta, fisher = plugin.held["output.weight"]
    torch.testing.assert_close(fisher, expected)
    assert torch.equal(theta, trained.learner.model.output.weight)


def test_what_was_read_of_the_rows_holds_the_weights_back(strategy, numbered):
    plugin = Pulling(30.0)
    free, held = strategy(), strategy(Naive, plugin)
    learn(free, numbered(0))
    learn(held, numbered(0))
    assert torch.equal(weights(free), weights(held))
    after_first = deepcopy(plugin.held)

    learn(free, numbered(1))
    learn(held, numbered(1))

    def moved(strategy) -> float:
        here = strategy.learner.model.state_dict()
        return sum(float((f * (here[k] - w) ** 2).sum()) for k, (w, f) in after_first.items())

    assert moved(held) < moved(free) / 2


def test_a_plugin_sees_what_the_logits_were_computed_from(strategy, numbered):
    plugin = Remembering()
    trained = strategy(Replay, plugin)
    learn(trained, numbered(0))
    plugin.seen.clear()

    next(trained.learn(numbered(1)))

    (update,) = plugin.seen
    assert (update.place, update.experience.index) == (Place(1, 0, 0, 5), 1)
    assert update.inputs.shape == (32, 1, 4, 4)
    assert update.replayed == 16
    labels_in_the_images = (update.inputs[:, 0, 0, 2] * 255).round().long()
    assert torch.equal(labels_in_the_images, update.y)
    assert set(update.y[16:].tolist()) == {0, 1}


def test_the_parameters_to_read_rows_by_are_those_of_the_part_that_learns(
    descent_keys, parts_of, numbered
):
    plugin, parts = Pulling(), parts_of()
    parts = replace(parts, plugins=(plugin,))
    for parameter in parts.model.features.parameters():
        parameter.requires_grad_(True)
    lower, upper = parts.model.features, parts.model.output
    learner = Learner(
        DescentKeys(**descent_keys), parts, upper, evaluation=lambda x: lower(x.float() / 255)
    )
    learner.start(parts.model.parameters(), 0.1)
    learner.begin(numbered(0))

    learner.end(numbered(0))

    assert plugin.held.keys() == {"output.weight", "output.bias"}


def test_a_penalty_on_logits_is_followed(strategy, numbered):
    free, held = strategy(), strategy(Naive, Remembering())
    for trained in (free, held):
        learn(trained, numbered(0))
    before = free.predict(numbered(0).test.x).softmax(1)

    for trained in (free, held):
        learn(trained, numbered(1))

    drift, drift_held = (
        (s.predict(numbered(0).test.x).softmax(1) - before).norm() for s in (free, held)
    )
    assert drift_held < 0.9 * drift


def test_the_inputs_of_joined_passes_are_joined(descent_keys, parts_of, numbered):
    plugin = Remembering()
    learner = Learner(DescentKeys(**descent_keys), parts_of(plugins=(plugin,)))
    (x, y), place = numbered(0, rows=10).train, Place(0, 0, 0, 1)
    learner.begin(numbered(0))

    inputs = [learner.inputs(x[:6], place), learner.inputs(x[6:], place)]
    logits = torch.cat([learner.forward(part, place) for part in inputs])
    learner.update(learner.loss(logits, y), logits, y, place)

    assert torch.equal(plugin.seen[0].inputs, torch.cat(inputs))


def test_a_plugin_can_look_at_the_gradient_of_the_whole_loss(strategy, numbered):
    plugin = Remembering()
    trained = strategy(Naive, plugin)
    before = deepcopy(trained.learner.model)
    rows = numbered(0, rows=30)

    next(trained.learn(rows))

    cross_entropy(before(rows.train.x.float() / 255), rows.train.y).backward()
    torch.testing.assert_close(plugin.gradient, before.output.weight.grad)


@pytest.mark.parametrize("kind", [Naive, Replay])
@pytest.mark.parametrize("plugin", [Pulling, Remembering])
def test_a_run_with_plugins_goes_on_as_if_nothing_had_happened(plugin, kind, strategy, numbered):
    whole = strategy(kind, plugin())
    learn(whole, numbered(0))
    states, steps = [], []
    for step in whole.learn(numbered(1)):
        steps.append(step)
        states.append(deepcopy(whole.state_dict()))
    learn(whole, numbered(2))

    for made in (0, 1, len(steps) - 1):
        resumed = strategy(kind, plugin())
        resumed.load_state_dict(deepcopy(states[made]))
        rest = [float(s.loss) for s in resumed.learn(numbered(1), steps[made].following)]
        learn(resumed, numbered(2))

        assert rest == [float(step.loss) for step in steps[made + 1 :]]
        assert torch.equal(weights(resumed), weights(whole))
