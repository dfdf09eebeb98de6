"""No update waits for the device, counted on one that is not there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from standing_in import OnDevice, Waits, standing_in
from waits import CASES, descends, forbidden, learning, under_way


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

    made = list(steps)

    assert made
    assert isinstance(made[-1].loss, OnDevice) or not descends(words)
    assert forbidden(waits) == []


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
