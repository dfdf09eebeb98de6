"""Multiply-accumulates of a model, counted without computing anything."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def forward_macs(model: nn.Module, input_shape: Sequence[int]) -> int:
    """Of one forward pass for one input of `input_shape`, without the batch."""
    return _counted(model, input_shape, backward=False)


def training_macs(model: nn.Module, input_shape: Sequence[int]) -> int:
    """Of forward and backward for one input; frozen parameters need no gradient."""
    return _counted(model, input_shape, backward=True)


def _counted(model: nn.Module, input_shape: Sequence[int], *, backward: bool) -> int:
    twin = copy.deepcopy(model).to("meta").eval()  # counts the same, and draws no dropout masks
    x = torch.empty(2, *input_shape, device="meta")
    with FlopCounterMode(display=False) as counter, torch.set_grad_enabled(backward):
        output = twin(x)
        if backward:
            output.sum().backward()
    return int(counter.get_total_flops()) // 2 // 2  # a MAC is two operations; two inputs
