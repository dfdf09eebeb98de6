"""How many rows of images a lower part of a model turns into latents at a time.

Gain: on a CPU the activations of so few rows stay in its caches, and of a part that learns they
stay below the 32 MiB from which glibc fetches fresh pages for each (at 128 px a sixth of the whole
time). Cost: one number for each way to compute latents.
"""

from __future__ import annotations

import torch

FROZEN_ROWS, LEARNING_ROWS = 16, 30
"""On a CPU, measured with MobileNetV1."""
USUAL_FROZEN_ROWS = 128
"""On other devices, and without tricks: what keeps any device busy."""


def frozen_rows(device: torch.device, *, tricks: bool) -> int:
    """Rows at a time through a part that does not learn."""
    return FROZEN_ROWS if tricks and device.type == "cpu" else USUAL_FROZEN_ROWS


def learning_rows(device: torch.device, count: int, *, tricks: bool) -> int:
    """Rows at a time through a part that learns, of a minibatch of `count`."""
    return LEARNING_ROWS if tricks and device.type == "cpu" else count
