"""What the hand-written loops share: gradient descent, the heap, and pixels."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


class SGD:
    """`torch.optim.SGD` with momentum and weight decay, in one pass over each tensor."""

    def __init__(
        self, parameters: Sequence[Tensor], lr: float, momentum: float, decay: float
    ) -> None:
        self.parameters = list(parameters)
        self.lr, self.momentum, self.decay = lr, momentum, decay
        self.moving = [torch.zeros_like(p) for p in self.parameters] if momentum else []

    @torch.no_grad()
    def follow(self, gradients: Sequence[Tensor]) -> None:
        pairs = zip(gradients, self.parameters, strict=True)
        same = [g if g.stride() == p.stride() else torch.empty_like(p).copy_(g) for g, p in pairs]
        torch._fused_sgd_(
            *(self.parameters, same, self.moving),
            **{"weight_decay": self.decay, "momentum": self.momentum, "lr": self.lr},
            **{"dampening": 0.0, "nesterov": False, "maximize": False, "is_first_step": False},
        )


def keep_heap() -> None:
    """Let glibc keep the memory it was given: large tensors are made and freed at every step."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        trim_threshold, mmap_max = -1, -4
        libc.mallopt(mmap_max, 0)
        libc.mallopt(trim_threshold, 2**31 - 1)


def scale_and_shift(case: dict, channels: int) -> tuple[Tensor, Tensor]:
    """For (x / 255 - mean) / std of pixels. [C] each"""
    std = torch.full((channels,), case["std"], dtype=torch.float64)
    mean = torch.full((channels,), case["mean"], dtype=torch.float64)
    return (1 / (255 * std)).float(), (-mean / std).float()


def tensors(rows: Sequence[np.ndarray]) -> list[Tensor]:
    return [torch.from_numpy(array) for array in rows]
