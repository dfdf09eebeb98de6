"""A copy of a model that shares nothing with it."""

from __future__ import annotations

import copy

from torch import Tensor, nn


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
