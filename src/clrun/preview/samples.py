"""A few training images of a few experiences, as they would be trained on without augmentation."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from clrun.streams.experience import Benchmark, Experience


class Samples(NamedTuple):
    """Images of one experience."""

    experience: int
    images: Tensor
    """[n, H, W, 3] or, of one channel, [n, H, W]; uint8"""


def samples(stream: Benchmark, experiences: list[int], each: int) -> list[Samples]:
    """At most `each` images of these experiences; reads no other rows."""
    return [Samples(index, _images(stream.experiences[index], each)) for index in experiences]


def _images(experience: Experience, each: int) -> Tensor:
    images = experience.train.x.index_select(0, spread_over_classes(experience.train.y, each))
    channels = images.shape[1]
    return images.permute(0, 2, 3, 1) if channels == 3 else images[:, 0]


def spread_over_classes(y: Tensor, each: int) -> Tensor:
    """Rows from the middle of each of `each` equal parts of all rows sorted by class. [n] int64"""
    number = min(each, len(y))
    places = (torch.arange(number) * 2 + 1) * len(y) // (2 * number)
    return y.argsort(stable=True)[places]
