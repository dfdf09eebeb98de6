"""Generated images: stripes whose direction is their class, under noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field

from clrun.images.patterns import Patterns
from clrun.sources.source import SourceData

SIDE, CLASSES, TRAIN, TEST = 12, 8, 30, 10


class Stripes:
    """40 images of each of 8 directions, the same every time."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        noise: Annotated[float, Field(ge=0)]
        num_classes: ClassVar[int] = 8

    name = "stripes"
    channels, height, width = 1, SIDE, SIDE
    class_names = tuple(f"{180 * c / CLASSES:g} degrees" for c in range(CLASSES))
    mean, std = (0.5,), (0.25,)

    def __init__(self, config: Config) -> None:
        self.noise = config.noise

    def check(self, root: Any, *, download: bool) -> None:
        """Nothing can be missing."""

    def load(self, root: Any, *, download: bool, on_progress: Any = None) -> SourceData:
        """240 training and 80 test images."""
        y = torch.arange(CLASSES).repeat(TRAIN + TEST)
        rng = torch.Generator().manual_seed(0)
        angle = (torch.pi * y / CLASSES)[:, None, None]
        row, column = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
        wave = torch.sin(1.5 * (row * angle.cos() + column * angle.sin()))
        noise = self.noise * torch.randn(len(y), SIDE, SIDE, generator=rng)
        x = (127.5 + 64 * wave + noise).clamp(0, 255).to(torch.uint8)[:, None]
        training = CLASSES * TRAIN
        return SourceData(
            Patterns(x[:training], y[:training]), Patterns(x[training:], y[training:])
        )
