from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from clrun.errors import Unsavable
from clrun.runner.state_bytes import state_bytes


class Keeps:
    """A strategy with this state."""

    def __init__(self, state: dict[str, Any]) -> None:
        self.state = state

    def state_dict(self) -> dict[str, Any]:
        return self.state


class KeepsToItself:
    def state_dict(self) -> dict[str, Any]:
        raise Unsavable("says nothing")


@pytest.fixture
def model() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), nn.BatchNorm2d(4))


WEIGHTS = 4 * (12 + 4 + 4)
RUNNING = 4 * (4 + 4) + 8  # mean, variance, and how many minibatches there were


@pytest.mark.parametrize(
    ("keeps_moments", "moments"), [(True, 4 * 12), (False, 0)], ids=["keep", "fresh"]
)
def test_parameters_are_told_from_what_else_is_kept(keeps_moments, moments, model):
    strategy = Keeps(
        {
            "model": model.state_dict(),
            "optimizer": {"state": {0: {"momentum_buffer": torch.zeros(4, 3, 1, 1)}}},
            "memory": {"x": torch.zeros(100, dtype=torch.uint8)},
            "plugins": [{"cumulative": {"a": torch.zeros(12), "b": torch.zeros(4)}}],
            "experience": 3,
        }
    )

    found = state_bytes(strategy, model, memory_bytes=124, keeps_moments=keeps_moments)

    statistics = RUNNING + moments + 4 * 16
    assert found == {"rows": 124, "parameters": WEIGHTS, "statistics": statistics}


def test_a_model_of_before_is_kept_whole_and_a_second_name_is_not_kept_twice(model):
    teacher = nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), nn.BatchNorm2d(4))
    shared = torch.zeros(7)
    state = {"model": model.state_dict(), "previous": teacher.state_dict(), "a": shared}

    found = state_bytes(Keeps({**state, "b": [shared]}), model, memory_bytes=0, keeps_moments=True)

    assert found == {"rows": 0, "parameters": WEIGHTS, "statistics": 2 * RUNNING + WEIGHTS + 28}


def test_what_a_strategy_does_not_say_has_no_number(model):
    assert state_bytes(KeepsToItself(), model, memory_bytes=0, keeps_moments=True) is None
