"""Large 1x1 convolutions, which learn their weights by one matrix product on a CPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

LARGE = 2**18
"""Weights from which the product is faster (measured with AVX2: 512 channels to 512 on maps of 8x8,
1,024 to 1,024 on 4x4). Of small kernels on large maps, its sums are too long."""


class Conv2d(nn.Conv2d):
    """`nn.Conv2d`, whose large 1x1 form has a backward pass of its own.

    oneDNN takes up to 1.4 times the seconds of a matrix product for the weight's gradient, and none
    more for the other two directions. Gradients differ from its by rounding.
    """

    def forward(self, x: Tensor) -> Tensor:
        if self._is_large_pointwise and _is_eager_on_cpu(x):
            return _Pointwise.apply(x, self.weight)
        return super().forward(x)

    @property
    def _is_large_pointwise(self) -> bool:
        moves = (self.kernel_size, self.stride, self.padding, self.groups, self.bias)
        return self.weight.numel() >= LARGE and moves == ((1, 1), (1, 1), (0, 0), 1, None)


class _Pointwise(torch.autograd.Function):
    """conv(x) with a 1x1 kernel."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return torch.conv2d(x, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        to_x, to_weight = ctx.needs_input_grad
        dx = _input_gradient(dy, x, weight) if to_x else None
        return dx, _weight_gradient(dy, x) if to_weight else None


def _input_gradient(dy: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    geometry = ([1, 1], [0, 0], [1, 1], False, [0, 0], 1)
    found = torch.ops.aten.convolution_backward(
        dy, x, weight, None, *geometry, [True, False, False]
    )
    return found[0]


def _weight_gradient(dy: Tensor, x: Tensor) -> Tensor:
    """[B, O, H, W], [B, C, H, W] -> [O, C, 1, 1]"""
    rows, columns = (t.permute(0, 2, 3, 1).flatten(0, 2) for t in (dy, x))
    return (rows.T @ columns)[:, :, None, None]


def _is_eager_on_cpu(x: Tensor) -> bool:
    """Channels last, in one precision, and nobody rewrites the operations."""
    return (
        x.device.type == "cpu"
        and x.is_contiguous(memory_format=torch.channels_last)
        and torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )
