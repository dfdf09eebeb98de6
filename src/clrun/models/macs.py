"""Multiply-accumulates of a model, counted while a copy of it runs once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from clrun.models.copies import copy_of, empty_copy_of
from clrun.models.dispatching import Watching
from clrun.models.features import unwatched
from clrun.models.shapes import is_quick

aten = torch.ops.aten


class Macs(NamedTuple):
    """Multiply-accumulates of a model for one input."""

    forward: int
    training: int
    """forward and backward; what is frozen needs no gradient"""


def pattern_macs(model: nn.Module, input_shape: Sequence[int]) -> Macs:
    """Both counts for one input of `input_shape`, without the batch, by one pass."""
    return _counted(model, input_shape, backward=True)


def forward_macs(model: nn.Module, input_shape: Sequence[int]) -> int:
    """Multiply-accumulates of a forward pass for one input of `input_shape`, without the batch."""
    return _counted(model, input_shape, backward=False).forward


def training_macs(model: nn.Module, input_shape: Sequence[int]) -> int:
    """Multiply-accumulates of both passes for one input; what is frozen needs no gradient."""
    return pattern_macs(model, input_shape).training


def _counted(model: nn.Module, input_shape: Sequence[int], *, backward: bool) -> Macs:
    if is_quick(model, input_shape):
        with suppress(_Opaque):  # on "meta" it comes apart
            return _run(model, input_shape, "cpu", backward=backward)
    return _run(model, input_shape, "meta", backward=backward)


def _run(model: nn.Module, input_shape: Sequence[int], device: str, *, backward: bool) -> Macs:
    twin = (
        empty_copy_of(model) if device == "meta" else copy_of(model)
    ).eval()  # counts the same, and draws no dropout masks
    for module in twin.modules():
        module._forward_hooks.clear()  # whoever watches the model is not to see its twin
    x = torch.zeros(2, *input_shape, device=device)
    with _Counter() as counter, unwatched(twin), torch.set_grad_enabled(backward):
        output = twin(x)
        forward = counter.macs
        if output.requires_grad:  # not of a model that is frozen as a whole
            output.sum().backward()
    return Macs(forward // 2, counter.macs // 2)  # of two inputs


class _Opaque(Exception):
    """An operator does many products at once, which cannot be counted."""


class _Counter(Watching):
    """Adds up the products of matrices and the convolutions inside the block.

    torch.utils.flop_counter does too, takes 0.3 s to import, and counts the gradient of a grouped
    convolution's weight as if every channel met every other.
    """

    def __init__(self) -> None:
        super().__init__()
        self.macs = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        packet = func.overloadpacket
        if any(word in str(packet) for word in ("attention", "transformer")):
            raise _Opaque
        out = func(*args, **(kwargs or {}))
        if packet in PRODUCTS:
            left = args[PRODUCTS[packet]]
            self.macs += out.numel() * left.shape[-1]
        elif packet is aten.convolution:
            x, weight, transposed = args[0], args[1], args[6]
            self.macs += _convolution(x if transposed else out, weight)
        elif packet is aten.convolution_backward:
            outer, x, weight, transposed, asked = *args[:3], args[7], args[10]
            for_x_and_weight = sum(asked[:2])
            self.macs += for_x_and_weight * _convolution(x if transposed else outer, weight)
        return out


PRODUCTS = {aten.mm: 0, aten.addmm: 1, aten.bmm: 0, aten.baddbmm: 1}
"""Operators that multiply matrices, and which argument is the left one."""


def _convolution(places: Tensor, weight: Tensor) -> int:
    """Products of a convolution: its weight at each place of an image. [B, C, ...], [O, I, ...]"""
    return weight.numel() * len(places) * math.prod(places.shape[2:])
