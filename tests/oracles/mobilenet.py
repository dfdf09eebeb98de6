"""MobileNetV1 with BatchReNorm, written out for speed on a CPU: channels last, one pass a layer.

Ioffe 2017 (https://arxiv.org/abs/1702.03275) in the form AR1 uses it. Where a layer evaluates, its
normalisation is part of the convolution, through which gradients still reach all three.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import batch_norm, conv2d

from oracles.models import Convolution, mobilenet_layers

EPS = 1e-5
LARGE = 2**18
"""Weights of a 1x1 convolution from which a matrix product pays."""


class Renormalise(torch.autograd.Function):
    """relu(gamma * ((x - mean) / std * r + d) + beta), as one normalisation and in place."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, gamma: Tensor, beta: Tensor, *seen: Tensor) -> Tensor:
        mean, var, r, d = seen
        y = batch_norm(x, mean, var, gamma * r, torch.addcmul(beta, gamma, d), eps=EPS).relu_()
        ctx.save_for_backward(x, y, gamma, *seen)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, y, gamma, mean, var, r, d = ctx.saved_tensors
        dx, dscale, dshift = torch.ops.aten.native_batch_norm_backward(
            torch.ops.aten.threshold_backward(dy, y, 0),
            *(x, gamma * r, mean, var, mean, (var + EPS).rsqrt(), True, EPS, [True] * 3),
        )
        return dx, torch.addcmul(dscale * r, dshift, d), dshift, None, None, None, None


class Pointwise(torch.autograd.Function):
    """A 1x1 convolution whose weight learns by one matrix product, faster than oneDNN's."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return conv2d(x, weight)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, Tensor]:
        x, weight = ctx.saved_tensors
        rows, columns = (t.permute(0, 2, 3, 1).flatten(0, 2) for t in (dy, x))
        dw = (rows.T @ columns)[:, :, None, None]
        if not ctx.needs_input_grad[0]:
            return None, dw
        geometry = ([1, 1], [0, 0], [1, 1], False, [0, 0], 1, [True, False, False])
        return torch.ops.aten.convolution_backward(dy, x, weight, None, *geometry)[0], dw


class Layer:
    """Convolution, BatchReNorm, ReLU."""

    def __init__(self, shape: Convolution, weights: dict[str, np.ndarray], name: str) -> None:
        self.stride, self.groups, self.pad = shape.stride, shape.groups, shape.kernel // 2
        self.weight = torch.from_numpy(weights[f"{name}.conv.weight"]).contiguous(
            memory_format=torch.channels_last
        )
        self.gamma = torch.from_numpy(weights[f"{name}.bn.weight"])
        self.beta = torch.from_numpy(weights[f"{name}.bn.bias"])
        self.mean = torch.from_numpy(weights[f"{name}.bn.running_mean"])
        self.std = torch.from_numpy(weights[f"{name}.bn.running_var"]).add(EPS).sqrt()
        self.unused = torch.zeros(2, len(self.mean))

    @property
    def parameters(self) -> list[Tensor]:
        return [self.weight, self.gamma, self.beta]

    def folded(self) -> tuple[Tensor, Tensor]:
        """Weight and bias of a convolution that is this one with its normalisation."""
        scale = self.gamma / self.std
        return self.weight * scale[:, None, None, None], self.beta - self.mean * scale

    def evaluated(self, x: Tensor, fold: tuple[Tensor, Tensor]) -> Tensor:
        z = conv2d(x, *fold, stride=self.stride, padding=self.pad, groups=self.groups)
        return z.relu_()

    def trained(self, x: Tensor, bounds: Bounds) -> Tensor:
        if self.weight.numel() >= LARGE and self.pad == 0:
            x = Pointwise.apply(x, self.weight)
        else:
            x = conv2d(x, self.weight, stride=self.stride, padding=self.pad, groups=self.groups)
        with torch.no_grad():
            mean, var = torch.batch_norm_update_stats(x, self.unused[0], self.unused[1], 0.0)
            std = (var + EPS).sqrt()
            r = (std / self.std).clamp_(1 / bounds.r_max, bounds.r_max)
            d = ((mean - self.mean) / self.std).clamp_(-bounds.d_max, bounds.d_max)
            self.mean.lerp_(mean, bounds.rate)
            self.std.lerp_(std, bounds.rate)
        return Renormalise.apply(x, self.gamma, self.beta, mean, var, r, d)


class Bounds:
    """r_max and d_max of all layers, which rise together, and the running statistics' rate."""

    def __init__(self, case: dict[str, Any]) -> None:
        self.rate, self.step = case["init_update_rate"], case["inc_step"]
        self.r_max, self.d_max = 1.0, 0.0
        self.caps = case["max_r_max"], case["max_d_max"]

    def rise(self, rows: int) -> None:
        self.r_max = min(self.caps[0], self.r_max + self.step * rows)
        self.d_max = min(self.caps[1], self.d_max + self.step * rows)

    def settle(self, rate: float) -> None:
        """Stand at the caps from now on, as after the first experience."""
        self.rate, self.step = rate, 0.0
        self.r_max, self.d_max = self.caps


class Mobilenet:
    """Lower layers, upper layers, and the head [classes, 1024]."""

    def __init__(self, weights: dict[str, np.ndarray], cut: int, case: dict[str, Any]) -> None:
        self.names = [
            f"lat_features.{i}" if i <= cut else f"end_features.{i - cut - 1}" for i in range(27)
        ]
        layers = [
            Layer(shape, weights, name)
            for shape, name in zip(mobilenet_layers(), self.names, strict=True)
        ]
        self.lower, self.upper = layers[: cut + 1], layers[cut + 1 :]
        self.head = torch.from_numpy(weights["output.weight"])
        self.bounds = Bounds(case)

    def trained_logits(self, z: Tensor) -> Tensor:
        """Logits of latents, with the minibatch's statistics. [B, 512, 8, 8] -> [B, classes]"""
        for layer in self.upper:
            z = layer.trained(z, self.bounds)
        self.bounds.rise(len(z))
        return z.mean((2, 3)) @ self.head.T

    def evaluated_logits(self, z: Tensor) -> Tensor:
        for layer in self.upper:
            z = layer.evaluated(z, layer.folded())
        return z.mean((2, 3)) @ self.head.T

    def state(self) -> dict[str, np.ndarray]:
        """All that learns, by clrun's names."""
        found = {"output.weight": self.head}
        for name, layer in zip(self.names, [*self.lower, *self.upper], strict=True):
            found[f"{name}.conv.weight"] = layer.weight
            found[f"{name}.bn.gamma"], found[f"{name}.bn.beta"] = layer.gamma, layer.beta
        return {name: tensor.detach().numpy() for name, tensor in found.items()}
