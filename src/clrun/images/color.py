"""Change the colours of a batch, each image in its own way.

Each change is the one torchvision's `adjust_brightness`, `adjust_contrast`, `adjust_saturation`
and `adjust_hue` make of a single float image.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

LUMA = (0.2989, 0.587, 0.114)
"""The weights of red, green and blue by which torchvision turns colours into grey."""


def jittered(x: Tensor, draws: Tensor, strengths: Sequence[float]) -> Tensor:
    """Brightness, contrast, saturation and hue changed, in this order. [B, C, H, W] in [0, 1]

    `draws` [B, 4] in [-1, 1] says how much of the four `strengths`: the first three are multiplied
    by 1 + draw * strength (at least 0), the hue turns by draw * strength of a circle. Grey images
    (C = 1) have neither saturation nor hue.
    """
    brightness, contrast, saturation = (
        (1 + draws[:, k] * strengths[k]).clamp(min=0)[:, None, None, None] for k in range(3)
    )
    x = (x * brightness).clamp_(0, 1)
    x = _blend(x, _grey(x).mean((1, 2, 3), keepdim=True), contrast)
    if x.shape[1] == 1:
        return x
    x = _blend(x, _grey(x), saturation)
    return _turn_hue(x, draws[:, 3] * strengths[3]) if strengths[3] else x


def greyed(x: Tensor, chosen: Tensor) -> Tensor:
    """The chosen images [B] bool without their colours. [B, C, H, W] -> [B, C, H, W]"""
    return torch.where(chosen[:, None, None, None], _grey(x), x)


def _blend(x: Tensor, other: Tensor, factor: Tensor) -> Tensor:
    """`factor` of x and the rest of `other`, cut to [0, 1]."""
    return torch.lerp(other, x, factor).clamp_(0, 1)


def _grey(x: Tensor) -> Tensor:
    """[B, C, H, W] -> [B, 1, H, W]"""
    if x.shape[1] == 1:
        return x
    red, green, blue = x.split(1, 1)
    return LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue


def _turn_hue(x: Tensor, turn: Tensor) -> Tensor:
    """The hue of the HSV colour turned by a share of the circle for each image. [B] in [-1, 1]"""
    value, chroma, sextant = _hexcone(x)
    sextant = (sextant + 6 * turn[:, None, None]) % 6
    # each channel falls from `value` by `chroma` with its distance from its own place on the circle
    places = torch.arange(5, 0, -2, device=x.device).view(1, 3, 1, 1)  # red, green, blue
    k = (places + sextant[:, None]) % 6
    return value[:, None] - chroma[:, None] * torch.minimum(k, 4 - k).clamp(0, 1)


def _hexcone(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Value, chroma and the hue in sixths of the circle, red at 0. [B, 3, H, W] -> 3 [B, H, W]"""
    red, green, blue = x.unbind(1)
    value = x.amax(1)
    chroma = value - x.amin(1)
    span = torch.where(chroma == 0, 1, chroma)
    hue = torch.where(
        value == red,
        (green - blue) / span,
        torch.where(value == green, 2 + (blue - red) / span, 4 + (red - green) / span),
    )
    return value, chroma, hue
