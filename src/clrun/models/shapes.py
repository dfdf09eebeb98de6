"""What shape a model makes of an input, told without computing anything."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call

from clrun.models.features import evaluating


def output_shape(model: nn.Module, input_shape: Sequence[int]) -> tuple[int, ...]:
    """Shape of what `model` makes of one input of `input_shape`, both without the batch.

    Raises:
        TypeError: it makes something else than a tensor.
        Whatever else the model raises for an input that it cannot take.
    """
    state = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    shapes = {name: torch.empty_like(tensor, device="meta") for name, tensor in state.items()}
    x = torch.empty(1, *input_shape, device="meta")
    with evaluating(model), torch.no_grad():
        output = functional_call(model, shapes, (x,))
    if not isinstance(output, Tensor):
        raise TypeError(f"{type(model).__name__} gives a {type(output).__name__}, not a tensor")
    return tuple(output.shape[1:])
