"""A trained model with all that happens to an image before it and to logits after it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from clrun.models.copies import copy_of
from clrun.runner.loading import TrainedModel

INPUT = "images"
OUTPUTS = ("probabilities", "logits")


class Whole(nn.Module):
    """uint8 images [B, C, H, W] -> probabilities and logits, [B, number of classes] float32 each.

    Channels are red, green, blue, or one of grey. Where the run resized its images, those of other
    sizes are resized to its size as it did (bilinear, antialiased, sides apart).
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, trained: TrainedModel) -> None:
        super().__init__()
        model = copy_of(trained.model).requires_grad_(False)
        self.model = model.to("cpu").to(memory_format=torch.contiguous_format)
        self.image_shape, self.side = trained.image_shape, resized_to(trained)
        scale, shift = trained.transform.scale_and_shift(torch.device("cpu"))
        self.register_buffer("scale", scale.clone())
        self.register_buffer("shift", shift.clone())
        self.eval()

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        if self.side is not None:
            images = interpolate(images, (self.side, self.side), mode="bilinear", antialias=True)
        logits = self.model(images.to(torch.float32) * self.scale + self.shift).float()
        return logits.softmax(1), logits


def resized_to(trained: TrainedModel) -> int | None:
    """The side to which the run resized its images; None where it took them as they were."""
    side = trained.facts.benchmark.values.get("image_size")
    return int(side) if side is not None else None
