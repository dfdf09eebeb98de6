"""Large 1x1 convolutions, which learn their weights by one matrix product on a CPU.

Gain: oneDNN takes up to 1.4 times the seconds of a matrix product for the weight's gradient, and
none more for the other two directions; an update of AR1's upper part takes 0.95 of the time. Cost:
a backward pass of our own for one kind of layer.
"""

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

    Gradients differ from those of `nn.Conv2d` by rounding, where `products` is true.
    """

    products = True

    def forward(self, x: Tensor) -> Tensor:
        if self.products and self._is_large_pointwise and _is_eager_on_cpu(x):
            return _Pointwise.apply(x, self.weight)
        return super().forward(x)

    @property
    def _is_large_pointwise(self) -> bool:
        moves = (self.kernel_size, self.stride, self.padding, self.groups, self.bias)
        return self.weight.numel() >= LARGE and moves == ((1, 1), (1, 1), (0, 0), 1, None)


def set_products(model: nn.Module, *, tricks: bool) -> None:
    """Let every `Conv2d` of ours in `model` learn by products, or none."""
    for layer in model.modules():
        if isinstance(layer, Conv2d):
            layer.products = tricks


class _Pointwise(torch.autograd.Function):
    """The function conv(x) with a 1x1 kernel."""

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
    """The gradient of a 1x1 kernel. [B, O, H, W], [B, C, H, W] -> [O, C, 1, 1]"""
    rows, columns = (t.permute(0, 2, 3, 1).flatten(0, 2) for t in (dy, x))
    return (rows.T @ columns)[:, :, None, None]


def _is_eager_on_cpu(x: Tensor) -> bool:
    """Whether images are channels last, in one precision, and nobody rewrites the operations."""
    return (
        x.device.type == "cpu"
        and x.is_contiguous(memory_format=torch.channels_last)
        and torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )
