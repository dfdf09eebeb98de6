"""The latent memory's own peak, with latents of 512x8x8: latent_memory_side.py CASE.json OUT.json.

The lower part is one 1x1 convolution, so that nothing but latents takes room; they are not cached.
Two experiences are offered: one fills the memory, one replaces half of it. Then all of it is read,
a minibatch at a time.
"""

from __future__ import annotations

from functools import partial

import torch
from measure import Meter, read_case, write_result
from torch import Tensor, fx, nn

import clrun
from clrun.images.transforms import Transform
from clrun.memory.latent_memory import LatentMemory
from clrun.runner.prepare import build
from clrun.strategies.latent_source import LatentSource
from clrun.strategies.strategy import Parts

LATENT = (512, 8, 8)
CAPACITY, FLOAT, MINIBATCH = 1500, 4, 128


def source() -> LatentSource:
    """Latents from images of 8x8."""
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


def offer(memory: LatentMemory, latents: LatentSource, x: Tensor, experience: int) -> None:
    y = torch.zeros(len(x), dtype=torch.int64)
    memory.offer(y, experience, partial(latents.kept, x), LATENT)


def main() -> None:
    case = read_case()
    rng = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (case["rows"], 1, 8, 8), dtype=torch.uint8, generator=rng)
    latents, memory, meter = source(), LatentMemory(CAPACITY, None, "float32", 0), Meter()
    with meter.phase("train"):
        for experience in range(2):
            offer(memory, latents, x, experience)
        for rows in torch.arange(len(memory)).split(MINIBATCH):
            memory.latents(rows)
    told = meter.report()
    buffer_mb = len(memory) * torch.Size(LATENT).numel() * FLOAT / 1e6
    write_result(told | {"buffer_mb": buffer_mb, "above_buffer_mb": told["peak_mb"] - buffer_mb})


if __name__ == "__main__":
    main()
