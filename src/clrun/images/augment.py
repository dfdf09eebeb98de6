"""The names of the augmentations, and which of them suits which source. No torch in here."""

from __future__ import annotations

from typing import Literal

AugmentPolicy = Literal[
    "auto",
    "none",
    "flip",
    "crop",
    "crop_flip",
    "jitter",
    "flip_jitter",
    "crop_jitter",
    "crop_flip_jitter",
]
"""`auto` stands for one of the others (`preset`)."""

JITTER = (0.4, 0.4, 0.4, 0.1)
"""How far brightness, contrast, saturation and hue go by default.

As for online replay with strong augmentation in Mai et al. 2021 (https://arxiv.org/abs/2103.13885).
"""

PRESETS: dict[str, AugmentPolicy] = {
    "fashion_mnist": "flip",
    "cifar10": "crop_flip",
    "cifar100": "crop_flip",
    "cifar100_coarse": "crop_flip",
    "tiny_imagenet": "crop_flip",
    "core50": "flip",
}
"""What `augment: auto` means for a source, by its name; none where mirroring may change the class
(digits) or nothing is known of the images (a user's own)."""


def preset(source: str) -> AugmentPolicy:
    """The augmentation that `auto` means."""
    return PRESETS.get(source, "none")
