"""That an exported file answers as the trained model does, compared image by image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from clrun.errors import ClrunError
from clrun.export.formats import Answers
from clrun.runner.loading import TrainedModel

TOLERANCE = 1e-3
"""Share of the largest logit by which another library's order of sums may move one."""
RANDOM_IMAGES = 17


class Difference(NamedTuple):
    """How far a file's answers are from the model's, at most."""

    logits: float
    probabilities: float
    other_classes: int
    """images between two classes, of which rounding decides"""


def compared(
    trained: TrainedModel, answers: Answers, images: Mapping[str, Tensor], path: str
) -> Difference:
    """The differences on images [N, C, H, W] uint8 of several kinds.

    Raises:
        ClrunError: a difference is more than rounding.
    """
    found = [
        _difference(trained, answers, x, f"{path}: on {kind} images") for kind, x in images.items()
    ]
    return Difference(
        logits=max(each.logits for each in found),
        probabilities=max(each.probabilities for each in found),
        other_classes=sum(each.other_classes for each in found),
    )


def random_images(trained: TrainedModel) -> Tensor:
    """Images of all values, the same each time."""
    rng = torch.Generator().manual_seed(0)
    size = (RANDOM_IMAGES, *trained.image_shape)
    return torch.randint(0, 256, size, dtype=torch.uint8, generator=rng)


def _difference(trained: TrainedModel, answers: Answers, x: Tensor, place: str) -> Difference:
    expected = trained.logits(x).double().cpu()
    probabilities, logits = (part.double() for part in answers(x))
    alone = answers(x[:1])[1].double()  # a batch of one is no other matter
    allowed = TOLERANCE * float(expected.abs().max().clamp(min=1e-6))
    found = Difference(
        logits=max(_apart(logits, expected), _apart(alone, expected[:1])),
        probabilities=_apart(probabilities, expected.softmax(1)),
        other_classes=int((logits.argmax(1) != expected.argmax(1)).sum()),
    )
    if not (found.logits <= allowed and found.probabilities <= TOLERANCE):
        raise ClrunError(
            f"{place}: gives other answers than the model: logits differ by {found.logits:.3g} and "
            f"probabilities by {found.probabilities:.3g}, where {allowed:.3g} and {TOLERANCE:g} "
            "may be rounding. Nothing was written."
        )
    return found


def _apart(given: Tensor, expected: Tensor) -> float:
    """The largest difference; what is not finite differs unless both are so."""
    if given.shape != expected.shape:
        return float("inf")
    difference = (given - expected).abs()
    return float(difference.max()) if difference.isfinite().all() else float("inf")
