"""How many images a model computes together where no update depends on it."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from clrun.device.rows import Rows

PIXELS_AT_ONCE = 512 * 32 * 32
"""On a CPU, of all images together. A network's activations take many times its images' bytes and
fill the processor's caches early: 512 images of 128 px take `model=cnn` 2.5 GB, and 32 of them at a
time 0.4 GB and less time."""


def at_once(most: int, images: Rows, device: torch.device) -> int:
    """`most`, or on a CPU fewer of large images [N, C, H, W]; at least one."""
    if device.type != "cpu":
        return most
    return max(1, min(most, PIXELS_AT_ONCE // prod(images.shape[2:])))
