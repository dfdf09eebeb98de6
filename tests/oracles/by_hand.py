"""What the hand-written loops share: their stream, gradient descent, the heap and pixels."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor


class Rows(NamedTuple):
    """One experience's images [N, C, H, W] uint8 and classes [N] int64."""

    train_x: np.ndarray
    train_y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray


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
        """Make one step down these gradients, in the order of the parameters."""
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


def scale_and_shift(case: dict[str, Any], channels: int) -> tuple[Tensor, Tensor]:
    """Scale and shift [C, 1, 1] of pixels that make them (x / 255 - mean) / std."""
    std = torch.full((channels,), case["std"], dtype=torch.float64)
    mean = torch.full((channels,), case["mean"], dtype=torch.float64)
    return (1 / (255 * std)).float().view(-1, 1, 1), (-mean / std).float().view(-1, 1, 1)
