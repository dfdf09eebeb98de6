"""What tests of strategies compare: states to the last bit, losses, accuracies, generators."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clrun.strategies.step import Step
from clrun.strategies.strategy import Strategy
from clrun.streams.experience import Experience


def learn(strategy: Strategy, stream: Iterable[Experience]) -> list[Step]:
    """Every update of these experiences."""
    return [step for experience in stream for step in strategy.learn(experience)]


def losses(steps: Iterable[Step]) -> list[float]:
    """The loss of each update."""
    return [float(step.loss) for step in steps]


def accuracy(strategy: Strategy, experiences: Iterable[Experience]) -> float:
    """Over the test rows of all experiences."""
    hits = [strategy.predict(e.test.x).argmax(1).cpu() == e.test.y for e in experiences]
    return float(torch.cat(hits).double().mean())


def differing(state: Any, other: Any) -> list[str]:
    """The paths at which two states are not the same bits."""
    ours, theirs = leaves(state), leaves(other)
    return [k for k in {**ours, **theirs} if not _same(ours.get(k), theirs.get(k))]


def leaves(state: Any, name: str = "") -> dict[str, Any]:
    """Every tensor and value of a nested state by its path."""
    if isinstance(state, dict):
        items: Iterable[tuple[Any, Any]] = state.items()
    elif isinstance(state, list | tuple):
        items = enumerate(state)
    else:
        return {name: state}
    found: dict[str, Any] = {f"{name} has": len(state)}
    for key, value in items:
        found |= leaves(value, f"{name}/{key}")
    return found


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    return type(a) is type(b) and bool(a == b)


def global_generators() -> tuple[Any, ...]:
    """The state of each, to compare."""
    legacy = np.random.get_state()  # noqa: NPY002 - nobody should draw from it
    return torch.get_rng_state().tolist(), legacy[1].tolist(), legacy[2], random.getstate()  # type: ignore[index]
