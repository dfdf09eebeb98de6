from __future__ import annotations

from copy import deepcopy
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from clrun.strategies.descent import Descent
from clrun.strategies.shared_keys import SharedKeys


class Pull:
    """A plugin that pulls a parameter to 0, and notes when it was called."""

    def __init__(self, parameter: nn.Parameter, strength: float) -> None:
        self.parameter, self.strength, self.calls = parameter, strength, []

    def penalty(self):
        return self.strength * self.parameter.square().sum()

    def before_update(self):
        self.calls.append(("before", float(self.parameter.detach()), float(self.parameter.grad)))

    def after_update(self):
        self.calls.append(("after", float(self.parameter.detach())))


@pytest.fixture
def descent(parts_of, shared_keys):
    def make(*, plugins=(), **changes) -> Descent:
        return Descent(SharedKeys(**{**shared_keys, **changes}), parts_of().device, plugins)

    return make


def parameters() -> SimpleNamespace:
    return SimpleNamespace(
        free=nn.Parameter(torch.tensor(2.0)), frozen=nn.Parameter(torch.tensor(3.0), False)
    )


def test_an_update_follows_the_gradient_of_what_learns_alone(descent):
    p = parameters()
    updating = descent(l2=0.5)
    updating.start(vars(p).values(), lr=0.1)

    loss = updating.update(p.free * p.frozen)

    assert float(loss) == 6
    assert p.free.item() == pytest.approx(2 - 0.1 * (3 + 0.5 * 2))
    assert p.frozen.item() == 3


def test_plugins_see_the_gradient_of_the_loss_with_their_penalty(descent):
    p = parameters()
    plugin = Pull(p.free, strength=1.0)
    updating = descent(plugins=[plugin])
    updating.start(vars(p).values(), lr=0.1)

    loss = updating.update(p.free * p.frozen)

    assert float(loss) == 6 + 4
    assert plugin.calls == [("before", 2.0, 3.0 + 4.0), ("after", pytest.approx(2 - 0.7))]


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_a_new_start_forgets_the_momentum(descent, optimizer):
    def moved(*, again: bool) -> float:
        p = parameters()
        updating = descent(optimizer=optimizer, momentum=0.9 if optimizer == "sgd" else 0.0)
        updating.start([p.free], lr=0.1)
        updating.update(p.free * 1)
        if again:
            updating.start([p.free], lr=0.1)
        before = p.free.item()
        updating.update(p.free * -1)
        return p.free.item() - before

    assert moved(again=True) == pytest.approx(0.1, rel=0.02)
    assert moved(again=False) < 0.05


def test_a_saved_descent_goes_on_with_its_momentum(descent):
    p, q = parameters(), parameters()
    whole, resumed = descent(momentum=0.9), descent(momentum=0.9)
    whole.start([p.free], lr=0.1)
    whole.update(p.free * 1)
    resumed.start([q.free], lr=0.1)
    q.free.data.copy_(p.free.data)
    resumed.load_state_dict(deepcopy(whole.state_dict()))

    whole.update(p.free * 1)
    resumed.update(q.free * 1)

    assert p.free.item() == q.free.item()


def test_before_the_first_start_there_is_nothing_to_save(descent):
    fresh = descent()

    fresh.load_state_dict(descent().state_dict())

    assert fresh.optimizer is None


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_adam_moves_weights_as_its_plain_form_but_for_rounding(descent, name):
    start = torch.linspace(-1, 1, 50)
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    updating = descent(optimizer=name, l2=0.01)
    updating.start([ours], lr=0.01)
    kind = torch.optim.Adam if name == "adam" else torch.optim.AdamW
    plain = kind([theirs], 0.01, weight_decay=0.01, foreach=False)

    for _ in range(20):
        updating.update((ours * start.cos()).sin().sum())
        plain.zero_grad()
        (theirs * start.cos()).sin().sum().backward()
        plain.step()

    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
