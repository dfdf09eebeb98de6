"""Whether BatchReNorm's running statistics can have followed what the first experience taught.

They begin with mean 0 and deviation 1, and keep (1 - rate) ** updates of that. While the network
learns its bounds let little of it through, but evaluation normalises by nothing else: with AR1's
rate of 0.01, made for pretrained weights, a network from scratch ends near chance for this reason.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from clrun.models.batch_renorm import BatchRenorm2D

ENOUGH, GOOD = 0.1, 0.05
"""What may be left of the first statistics without a note, and with the rate that it advises."""


def left_of_the_first(rate: float, updates: int) -> float:
    """The weight in running statistics of what they began with."""
    return (1 - rate) ** updates


def advised_rate(updates: int) -> float:
    """The smallest rate in hundredths at which hardly anything of the first statistics is left."""
    return min(1.0, -(-(1 - GOOD ** (1 / max(updates, 1))) // 0.01) / 100)


def has_fresh_statistics(layers: Iterable[nn.Module]) -> bool:
    """Whether a layer's running statistics are those that it was made with."""
    return any(_is_fresh(layer) for layer in layers)


def _is_fresh(layer: nn.Module) -> bool:
    found: tuple[Tensor | None, Tensor | None] = (None, None)
    if isinstance(layer, BatchRenorm2D):
        found = layer.running_avg_mean, layer.running_avg_std
    elif isinstance(layer, nn.BatchNorm2d):
        found = layer.running_mean, layer.running_var
    mean, spread = found
    if mean is None or spread is None:
        return False
    is_unit = torch.allclose(spread, torch.ones_like(spread), atol=1e-4)
    return is_unit and not bool(mean.any())
