"""That a loaded model is the one that was saved: its logits of images that everybody can make.

Weights that fit do not say that the code around them is the same: another version of a class, a
module of one's own with other keys, or with something that is no part of its state.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from clrun.device.device import Device
from clrun.images.transforms import Transform
from clrun.models.copies import copy_of
from clrun.strategies.answers import Answers

IMAGES = 2
TOLERANCE, TOLERANCE_IN_16_BITS = 1e-3, 0.1
"""Share of the largest logit that another order of the same operations may make."""

Proof = list[list[float | None]]


def proof_images(image_shape: Sequence[int]) -> Tensor:
    """Two images of all values. [2, C, H, W] uint8"""
    count = IMAGES * int(torch.tensor(image_shape).prod())
    return (torch.arange(count) * 37 % 251).to(torch.uint8).view(IMAGES, *image_shape)


def proof_of(
    model: nn.Module, transform: Transform, device: Device, seed: int, image_shape: Sequence[int]
) -> Proof:
    """The logits of a model that is on the device; a copy computes them."""
    answers = Answers(copy_of(model), transform, device, seed, quick=False)
    logits = answers.predict(proof_images(image_shape)).double().cpu()
    finite = logits.isfinite().tolist()
    return [
        [value if is_finite else None for value, is_finite in zip(*row, strict=True)]
        for row in zip(logits.tolist(), finite, strict=True)
    ]


def agree(given: Tensor, expected: Tensor, precision: str) -> bool:
    """Whether two results are the same but for rounding; what is not finite must be equal."""
    if given.shape != expected.shape:
        return False
    given, expected = given.double().cpu(), expected.double().cpu()
    finite = expected.isfinite()
    if not torch.equal(given.isfinite(), finite):
        return False
    largest = expected[finite].abs().max() if finite.any() else 0.0
    share = TOLERANCE if precision == "fp32" else TOLERANCE_IN_16_BITS
    return not bool(((given - expected)[finite].abs() > share * largest).any())


def as_tensor(proof: Proof) -> Tensor:
    """The logits, NaN for what was no finite number."""
    values = [[float("nan") if value is None else value for value in row] for row in proof]
    return torch.tensor(values, dtype=torch.float64)
