"""An update whose loss is not finite is left out: nothing stays of it (`strategy.on_nan=skip`)."""

from __future__ import annotations

import logging
import math
from contextlib import suppress
from copy import deepcopy
from typing import Any

import pytest
import torch
from comparing_runs import leaves
from torch import Tensor, nn

from clrun.errors import NonFiniteLoss
from clrun.strategies.descent_keys import DescentKeys
from clrun.strategies.learner import Learner
from clrun.strategies.left_out import MOST_IN_A_ROW
from clrun.strategies.places import Place
from clrun.strategies.synaptic_intelligence import SynapticIntelligence

MARK = 255


class Touchy(nn.Module):
    """Running statistics and a head; an image that begins with MARK makes everything NaN."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(1)
        self.output = nn.Linear(16, 6)

    def forward(self, x: Tensor) -> Tensor:
        is_marked = (x[:, :1, :1, :1] == 1) & (x[:, :1, :1, 1:2] == 0)
        x = torch.where(is_marked, math.nan, x)
        return self.output(self.norm(x).flatten(1))


def rows_of(mark: bool) -> tuple[Tensor, Tensor]:
    x = torch.randint(200, (12, 1, 4, 4), generator=torch.Generator().manual_seed(0))
    if mark:
        x[3, 0, 0, 0], x[3, 0, 0, 1] = MARK, 0
    return x.byte(), torch.arange(12) % 6


@pytest.fixture
def learner(descent_keys, parts_of, numbered):
    def make(plugins: tuple[Any, ...] = (), precision: str = "fp32", **changes: Any) -> Learner:
        torch.manual_seed(0)
        parts = parts_of(model=Touchy(), plugins=plugins, precision=precision)
        made = Learner(DescentKeys(**{**descent_keys, "on_nan": "skip", **changes}), parts)
        made.begin(numbered(0))
        return made

    return make


def step(trained: Learner, iteration: int, *, mark: bool = False, factor: float = 1.0) -> float:
    """The loss of one update."""
    x, y = rows_of(mark)
    place = Place(0, 0, iteration, 100)
    logits = trained.forward(trained.inputs(x, place), place)
    made = trained.update(factor * trained.loss(logits, y), logits, y, place)
    return float(made.loss)


def kept(trained: Learner) -> dict[str, Any]:
    """All state but what counts the work that was done."""
    state = trained.state_dict()
    del state["train_macs"], state["left_out"]
    return leaves(deepcopy(state))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="sgd"),
        pytest.param({"momentum": 0.9, "l2": 0.01}, id="momentum"),
        pytest.param({"optimizer": "adam", "lr": 0.01}, id="adam"),
    ],
)
def test_nothing_stays_of_an_update_that_is_left_out(changes, learner):
    plugins = [
        (SynapticIntelligence(SynapticIntelligence.Config(ewc_lambda=1, exclude=[])),) for _ in "ab"
    ]
    one, other = learner(plugins[0], **changes), learner(plugins[1], **changes)

    losses = [step(one, 0), step(one, 1, mark=True), step(one, 2)]
    step(other, 0), step(other, 2)

    assert [math.isfinite(loss) for loss in losses] == [True, False, True]
    assert kept(one) == kept(other)
    assert not one.left_out


def test_weights_do_follow_the_updates_that_are_made(learner):
    trained = learner()
    before = trained.model.output.weight.detach().clone()

    step(trained, 0, mark=True)
    assert trained.left_out
    assert torch.equal(trained.model.output.weight, before)

    step(trained, 1)
    assert not trained.left_out
    assert not torch.equal(trained.model.output.weight, before)


def test_a_gradient_that_is_not_finite_counts_too(learner):
    trained = learner()
    before = kept(trained)
    x, y = rows_of(False)
    logits = trained.forward(trained.inputs(x, Place(0, 0, 0, 9)), Place(0, 0, 0, 9))
    edge = (trained.model.output.weight * 0).sum().sqrt()  # 0, and no slope there

    made = trained.update(trained.loss(logits, y) + edge, logits, y, Place(0, 0, 0, 9))

    assert math.isnan(made.loss)
    assert kept(trained) == before


@pytest.mark.parametrize("factor", [math.inf, 1.0])
def test_a_gradient_scaler_goes_on_as_if_the_update_had_not_been(factor, learner):
    trained = learner(precision="fp16")
    step(trained, 0)
    before = kept(trained)

    loss = step(trained, 1, mark=factor == 1.0, factor=factor)

    assert not math.isfinite(loss)
    assert kept(trained) == before
    assert math.isfinite(step(trained, 2))


def test_scaled_gradients_that_overflow_are_the_scalers_business(learner):
    trained = learner(precision="fp16")
    scale = trained.scaler.get_scale()

    loss = step(trained, 0, factor=1e36)  # times the scale it is infinite in float32

    assert math.isfinite(loss)
    assert not trained.left_out
    assert trained.scaler.get_scale() == scale / 2


def test_so_many_in_a_row_end_the_run(learner):
    trained = learner()
    for iteration in range(MOST_IN_A_ROW - 1):
        step(trained, iteration, mark=True)

    with pytest.raises(NonFiniteLoss, match=r"10 updates in a row.*iteration 10") as failed:
        step(trained, MOST_IN_A_ROW - 1, mark=True)

    assert failed.value.exit_code == 6


def test_one_that_is_made_begins_the_row_anew(learner):
    trained = learner()

    for iteration in range(3 * MOST_IN_A_ROW):
        step(trained, iteration, mark=iteration % MOST_IN_A_ROW != 0)


def test_a_row_is_part_of_the_state(learner):
    trained, again = learner(), learner()
    for iteration in range(MOST_IN_A_ROW - 1):
        step(trained, iteration, mark=True)

    again.load_state_dict(deepcopy(trained.state_dict()))

    with pytest.raises(NonFiniteLoss):
        step(again, MOST_IN_A_ROW - 1, mark=True)


def test_it_is_said_once(learner, caplog):
    trained = learner()

    with caplog.at_level(logging.WARNING, "clrun.note"):
        for iteration in range(3):
            step(trained, iteration, mark=True)

    [said] = caplog.messages
    assert said.startswith("the loss is nan in experience 1, epoch 1, iteration 1: that update is")


def test_an_update_of_several_gradients_is_left_out_if_one_of_them_is_bad(learner):
    trained = learner()
    before = kept(trained)
    x, y = rows_of(False)
    place = Place(0, 0, 0, 9)
    inputs = trained.inputs(x, place)
    for factor in (math.nan, math.nan, 1.0):
        logits = trained.forward(inputs, place)
        update = trained.prepare(logits, y, place)
        total = trained.gradients(factor * trained.loss(logits, y), update)
    trained.apply(update)

    assert math.isnan(total)
    assert kept(trained) == before
    assert trained.state_dict()["left_out"] == 1


@pytest.mark.parametrize("name", ["replay", "der"])
def test_rows_of_an_update_that_is_left_out_are_not_offered_to_an_online_memory(name, trial):
    words = ["strategy.on_nan=skip", "strategy.train_mb_size=8", "strategy.lr=1e30"]
    online = ["strategy.memory_update=minibatch"] if name == "replay" else []
    strategy, [first, *_], _ = trial(name, *words, *online)
    offered = []

    with suppress(NonFiniteLoss):
        for made in strategy.learn(first):
            offered.append((math.isfinite(made.loss), strategy.memory.summary()["rows"]))

    good = [rows for is_made, rows in offered if is_made]
    assert {is_made for is_made, _ in offered} == {True, False}
    assert {rows for is_made, rows in offered if not is_made} == {good[-1]}
