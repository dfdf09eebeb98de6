"""What a strategy has to keep from one experience to the next, in bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, nn

from clrun.errors import Unsavable
from clrun.strategies.strategy import Strategy

ROWS = "memory"
"""Where a strategy's state has what `memory_rows` counts."""


def state_bytes(
    strategy: Strategy, model: nn.Module, memory_bytes: int, *, keeps_moments: bool
) -> dict[str, int] | None:
    """The bytes of stored rows, of the model's parameters, and of all other tensors of the state:
    the model's statistics, a model of before, importances, a second head, an optimizer's moments
    if the next experience begins with them. None where the strategy does not say its state.
    """
    try:
        state = dict(strategy.state_dict())
    except Unsavable:
        return None
    state.pop(ROWS, None)
    if not keeps_moments:
        state.pop("optimizer", None)
    learnt = {_place(p): p.nbytes for p in model.parameters()}
    held = {_place(tensor): tensor.nbytes for tensor in _tensors(state)}
    others = {place: size for place, size in held.items() if place not in learnt}
    return {
        "rows": memory_bytes,
        "parameters": sum(learnt.values()),
        "statistics": sum(others.values()),
    }


def _place(tensor: Tensor) -> tuple[Any, ...]:
    """What a tensor has in common with another name of it; one without values has no place."""
    return tensor.device, tensor.data_ptr() or id(tensor), tensor.nbytes


def _tensors(state: object) -> Iterator[Tensor]:
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, Mapping):
        for value in state.values():
            yield from _tensors(value)
    elif isinstance(state, list | tuple):
        for value in state:
            yield from _tensors(value)
