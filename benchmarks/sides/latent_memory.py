"""The latent memory's own peak, with latents of 512x8x8.

The lower part is one 1x1 convolution, so that nothing but latents takes room; they are not cached.
Two experiences are offered: one fills the memory, one replaces half of it. Then all of it is read,
a minibatch at a time.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import fx, nn

import clrun
from clrun.images.transforms import Transform
from clrun.memory.latent_memory import LatentMemory
from clrun.runner.prepare import build
from clrun.strategies.latent_source import LatentSource
from clrun.strategies.strategy import Parts
from sides.measure import Meter

LATENT = (512, 8, 8)
CAPACITY, FLOAT, MINIBATCH = 1500, 4, 128


def source() -> LatentSource:
    """A source of latents from images of 8x8."""
    lower = fx.symbolic_trace(nn.Sequential(nn.Conv2d(1, LATENT[0], 1)))
    device = build(clrun.compose(["device=cpu"]).nodes["device"])
    device.place(lower)
    parts = Parts(
        model=lower,
        transform=Transform((0.5,), (0.5,), "none"),
        device=device,
        seed=0,
        num_classes=10,
        storage_policy=None,  # type: ignore[arg-type]
        selection=None,  # type: ignore[arg-type]
        plugins=(),
    )
    return LatentSource(lower, parts, cached=False, frozen=True)


def measure(case: dict[str, Any]) -> dict[str, Any]:
    """Fill the memory, replace half of it, read all of it."""
    rng = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (case["rows"], 1, 8, 8), dtype=torch.uint8, generator=rng)
    y = torch.zeros(len(x), dtype=torch.int64)
    latents, memory, meter = source(), LatentMemory(CAPACITY, None, "float32", 0), Meter()
    with meter.phase("train"):
        for experience in range(2):
            memory.offer(y, experience, partial(latents.kept, x), LATENT)
        for rows in torch.arange(len(memory)).split(MINIBATCH):
            memory.latents(rows)
    found = meter.report()
    buffer_mb = len(memory) * torch.Size(LATENT).numel() * FLOAT / 1e6
    return found | {"buffer_mb": buffer_mb, "above_buffer_mb": found["peak_mb"] - buffer_mb}
