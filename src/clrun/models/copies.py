"""A copy of a model that shares nothing with it."""

from __future__ import annotations

import copy

from torch import Tensor, nn


def empty_copy_of(model: nn.Module) -> nn.Module:
    """The model without values, on the device "meta": a large one is not held twice."""
    computed = (
        value
        for module in model.modules()
        for value in vars(module).values()
        if isinstance(value, Tensor)
    )
    memo: dict[int, Tensor] = {
        id(tensor): tensor.detach().to("meta") for tensor in (*model.buffers(), *computed)
    }
    for parameter in model.parameters():
        empty = parameter.detach().to("meta")
        memo[id(parameter)] = nn.Parameter(empty, requires_grad=parameter.requires_grad)
    return copy.deepcopy(model, memo=dict(memo)).to("meta")


def copy_of(model: nn.Module) -> nn.Module:
    """The model with tensors of its own, whatever computes some of them.

    Pruning and the older weight norm keep a computed weight as an attribute, which Python's
    deepcopy refuses; the copy computes it again in its next forward pass.
    """
    computed = {
        id(value): value.detach().clone()
        for module in model.modules()
        for value in vars(module).values()
        if isinstance(value, Tensor) and not value.is_leaf
    }
    return copy.deepcopy(model, memo=dict(computed))
