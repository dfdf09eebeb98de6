"""Patterns from arrays that somebody has in memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from clrun.errors import ConfigError
from clrun.images.patterns import Patterns


def patterns_of_arrays(x: Any, y: Any, name: str) -> Patterns:
    """Images [N, C, H, W] or grey ones [N, H, W], uint8, with a label of at least 0 for each.

    NumPy arrays and tensors are taken, and not copied where they need not be.

    Raises:
        ConfigError: with `name`, what is wrong, and what is allowed.
    """
    images, labels = images_of_arrays(x, name), torch.as_tensor(y).cpu()
    if labels.shape != images.shape[:1]:
        shape = list(labels.shape)
        raise ConfigError(f"{name}: labels are {shape} for {len(images)} images. Give one each.")
    if not len(labels) or labels.is_floating_point() or labels.dtype == torch.bool:
        raise ConfigError(f"{name}: labels must be whole numbers, at least one.")
    if int(labels.min()) < 0:
        raise ConfigError(f"{name}: label {int(labels.min())}. Labels are 0, 1, 2, ...")
    return Patterns(images, labels.to(torch.int64))


def images_of_arrays(x: Any, name: str) -> Tensor:
    """Images [N, C, H, W] uint8 of those or of grey ones [N, H, W].

    Raises:
        ConfigError: with `name`, what is wrong, and what is allowed.
    """
    images = torch.as_tensor(x).cpu()
    if images.dtype != torch.uint8:
        dtype = str(images.dtype).removeprefix("torch.")
        raise ConfigError(f"{name}: images are {dtype}. Give uint8, 0 to 255.")
    if images.ndim == 3:
        images = images.unsqueeze(1)
    if images.ndim != 4:
        shape = list(images.shape)
        raise ConfigError(f"{name}: images are {shape}. Give [N, channels, height, width].")
    return images
