"""The optimizer that the keys ask for, and a saved one's memory order."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from clrun.fast.sgd import sgd
from clrun.strategies.descent_keys import DescentKeys


def optimizer_of(
    keys: DescentKeys, groups: list[dict[str, Any]], lr: float, *, tricks: bool
) -> torch.optim.Optimizer:
    """The optimizer that the keys ask for, over parameter groups as PyTorch has them."""
    if keys.optimizer == "sgd":
        return sgd(groups, lr, momentum=keys.momentum, weight_decay=keys.l2, tricks=tricks)
    kind = torch.optim.Adam if keys.optimizer == "adam" else torch.optim.AdamW
    return kind(groups, lr, weight_decay=keys.l2, fused=True)


def lay_out_as_parameters(optimizer: torch.optim.Optimizer) -> None:
    """Give the optimizer's tensors the memory order of their parameters.

    A fused kernel walks through both by address, and a saved state may have been written in another
    order: moments of a channels last parameter would meet other weights than their own.
    """
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                ordered = torch.empty_like(parameter, dtype=value.dtype)
                state[name] = ordered.copy_(value)
