"""What shape a model makes of an input."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from clrun.models.features import evaluating, unwatched

SMALL = 30_000_000
"""Parameters up to which a few images cost less time to compute than the device "meta", which
computes nothing, to import: PyTorch's compiler comes with it (2 s)."""
SMALL_IMAGE = 3 * 512 * 512
"""Numbers of an image up to which that is so."""


def is_quick(model: nn.Module, input_shape: Sequence[int]) -> bool:
    """Whether a few inputs of that shape, without the batch, are computed at once."""
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return parameters <= SMALL and prod(input_shape) <= SMALL_IMAGE


def output_shape(model: nn.Module, input_shape: Sequence[int]) -> tuple[int, ...]:
    """Shape of what `model` makes of one input of `input_shape`, both without the batch.

    Raises:
        TypeError: it makes something else than a tensor.
        Whatever else the model raises for an input that it cannot take.
    """
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    with evaluating(model), unwatched(model), torch.no_grad():
        if is_quick(model, input_shape):
            output = model(torch.zeros(1, *input_shape, device=device))
        else:
            output = _on_meta(model, input_shape)
    if not isinstance(output, Tensor):
        raise TypeError(f"{type(model).__name__} gives a {type(output).__name__}, not a tensor")
    return tuple(output.shape[1:])


def _on_meta(model: nn.Module, input_shape: Sequence[int]) -> Any:
    """What the model makes of an image without values."""
    state = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    shapes = {name: torch.empty_like(tensor, device="meta") for name, tensor in state.items()}
    return functional_call(model, shapes, (torch.empty(1, *input_shape, device="meta"),))
