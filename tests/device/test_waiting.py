"""No update waits for the device, counted on one that is not there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from standing_in import OnDevice, Waits, standing_in
from waits import CASES, MLP, SMALL, descends, forbidden, learning, under_way

import clrun
from clrun.runner.evaluation import Evaluation
from clrun.runner.made_strategy import made_strategy
from clrun.runner.meter import Meter
from clrun.runner.packs import Feed
from clrun.runner.prepare import prepare

STAYS = (
    *("naive", "replay", "replay, classes", "ar1", "ar1, uint8 si", "lwf", "icarl", "cumulative"),
    *("joint", "separate, adam", "lwf, separate"),
)
"""Cases whose images, latents and plans are on the device before an update begins."""


@pytest.fixture
def waits(monkeypatch) -> Iterator[Waits]:
    """What the device that is not there is waited for."""
    monkeypatch.setattr("clrun.device.device.choose", lambda kind, *how: [torch.device(kind)])
    with standing_in(monkeypatch) as found:
        yield found


@pytest.mark.parametrize("name", CASES)
def test_no_update_waits_but_where_it_says_that_it_has_to(waits, name):
    words = CASES[name]
    steps = under_way(learning(*words, "device=cuda"))
    waits.clear()

    made, sent = [], []
    for step in steps:
        made.append(step)
        sent += waits.sent if step.iteration > 0 else []  # the first has its epoch's plan sent
        waits.sent.clear()

    assert len(made) == 2
    assert isinstance(made[-1].loss, OnDevice) or not descends(words)
    assert forbidden(waits) == []
    assert name not in STAYS or sent == []


def test_the_updates_of_a_log_interval_are_read_at_once(waits):
    steps, meter = list(under_way(learning("strategy=naive", *MLP, "device=cuda"))), Meter()
    waits.clear()

    for step in steps * 5:
        meter.add(step)
    meter.fetch()
    loss, _ = meter.read_interval()

    assert loss is not None
    assert [wait.what for wait in waits] == ["a copy to the host"]


def test_an_evaluation_is_read_at_once_and_its_images_stay(waits):
    prepared = prepare(clrun.compose([*SMALL, "strategy=naive", *MLP, "device=cuda"]))
    keys = {"stream": "test", "experiences": "all", "limit_per_experience": None}
    evaluation = Evaluation(Evaluation.Config(**keys, initial=False))
    strategy, feed = made_strategy(prepared), Feed(minibatch=8, hold=prepared.device.hold)
    again = {}
    for _ in range(2):
        waits.clear()
        again = evaluation.scores(strategy, prepared.data, seen=5, feed=feed)

    assert len([accuracy for accuracy in again.experiences if accuracy is not None]) == 5
    assert [wait.what for wait in waits] == ["a copy to the host"]
    assert waits.sent == []


@pytest.mark.parametrize("name", ["separate", "separate, adam"])
def test_heads_that_no_row_trains_stay_what_they_are_without_asking_which(waits, name):
    there, here = (learning(*CASES[name], f"device={kind}") for kind in ("cuda", "cpu"))

    for side in (there, here):
        list(side.strategy.learn(side.left[0]))

    expected, found = leaves(here.strategy.state_dict()), leaves(there.strategy.state_dict())
    assert expected.keys() <= found.keys()
    assert all(torch.equal(found[at], expected[at]) for at in expected)
    assert {float(found[at].abs().max()) for at in found.keys() - expected.keys()} <= {0.0}


def leaves(state: object, at: str = "") -> dict[str, torch.Tensor]:
    """Every tensor of a nested state, on the CPU, by its path."""
    if isinstance(state, torch.Tensor):
        return {at: state.numbers if isinstance(state, OnDevice) else state}
    items = state.items() if isinstance(state, dict) else ()
    items = enumerate(state) if isinstance(state, list | tuple) else items
    return {k: v for key, x in items for k, v in leaves(x, f"{at}/{key}").items()}
