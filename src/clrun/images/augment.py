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
    "contrastive",
]
"""`auto` stands for one of the others (`preset`), `contrastive` for the views that contrastive
learning compares: a window of any size, flip, jitter for most and grey for some."""

JITTER = (0.4, 0.4, 0.4, 0.1)
"""How far brightness, contrast, saturation and hue go by default.

As for online replay with strong augmentation in Mai et al. 2021 (https://arxiv.org/abs/2103.13885).
"""

WINDOW_AREA, WINDOW_RATIO = (0.2, 1.0), (3 / 4, 4 / 3)
"""Bounds of a contrastive view's window: its share of the image, and its width by its height."""
JITTERED, GREYED = 0.8, 0.2
"""Shares of contrastive views whose colours change, and that lose theirs; with `JITTER` and the
area as in Mai et al. 2021, the ratio as in Chen et al. 2020 (https://arxiv.org/abs/2002.05709)."""

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


def changes_colors(policy: AugmentPolicy) -> bool:
    """Whether an augmentation reads how far colours go, which is for grey and RGB images."""
    return "jitter" in policy or policy == "contrastive"
