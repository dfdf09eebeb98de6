"""The two layers of the strategies' tests in float64, and what their loss and gradients are.

Written from the formulas alone: nothing of clrun is used.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def double(parameters: Sequence[Tensor]) -> list[Tensor]:
    """The weights and biases of the two layers, to differentiate by."""
    return [parameter.detach().double().clone().requires_grad_() for parameter in parameters]


def row_losses(w: Sequence[Tensor], x: Tensor, y: Tensor) -> Tensor:
    """The cross-entropy of uint8 images [n, ...] of classes y [n]. -> [n]"""
    hidden = torch.tanh(x.flatten(1).double() / 255 @ w[0].T + w[1])
    logits = hidden @ w[2].T + w[3]
    return logits.exp().sum(1).log() - logits[torch.arange(len(y)), y]


def gradient(w: Sequence[Tensor], x: Tensor, y: Tensor) -> Tensor:
    """Of the mean cross-entropy, as one vector."""
    found = torch.autograd.grad(row_losses(w, x, y).mean(), list(w))
    return torch.cat([piece.flatten() for piece in found])


def follow(w: Sequence[Tensor], step: Tensor) -> None:
    """Subtract a vector from the weights, in place."""
    with torch.no_grad():
        pieces = step.split([values.numel() for values in w])
        for values, piece in zip(w, pieces, strict=True):
            values -= piece.view_as(values)


def vector(w: Sequence[Tensor]) -> Tensor:
    return torch.cat([values.detach().flatten() for values in w])
