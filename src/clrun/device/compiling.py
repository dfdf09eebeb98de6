"""`device.compile=true`: a model as PyTorch's compiler makes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

Forward = Callable[[Tensor], Tensor]


def compiled(model: nn.Module, device: torch.device) -> Forward:
    """The model's forward pass, compiled when first called, and again for another minibatch size.

    On CUDA its kernels are launched all at once, as CUDA graphs: for small models launching them
    one by one takes longer than what they compute.
    """
    if device.type != "cuda":
        return cast(Forward, torch.compile(model))
    graphed = cast(Forward, torch.compile(model, mode="reduce-overhead"))
    # the graph writes its next output where this one is, and callers keep several
    return lambda x: graphed(x).clone()
