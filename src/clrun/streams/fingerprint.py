"""What tells the data of a run from other data, for its record."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from math import prod

import torch
from torch import Tensor

from clrun.device.rows import Rows
from clrun.images.content import content_digest
from clrun.images.lazy_rows import LazyRows
from clrun.images.patterns import Patterns
from clrun.streams.experience import Benchmark
from clrun.streams.guard import SealedExperience

BUDGET = 32_000_000
"""Most bytes of rows outside memory that are read for a fingerprint; at least a row of each part"""


def fingerprint(benchmark: Benchmark) -> str:
    """Sixteen hex digits of the stream's images and labels, in its order.

    Of images in memory every pixel counts, and of a file whose checksum is known; of those that are
    read or made when they are needed, evenly spaced rows do. What is sealed (`guard`) does not.
    """
    parts = list(_parts(benchmark))
    digest = hashlib.blake2b(digest_size=8)
    for x, y in parts:
        digest.update(f"{tuple(x.shape)}".encode())
        digest.update(y.contiguous().numpy().data)
        digest.update(_content(x, BUDGET // len(parts)))
    return digest.hexdigest()


def _parts(benchmark: Benchmark) -> Iterator[Patterns]:
    """The training, test and validation rows of each experience."""
    for experience in benchmark:
        yield experience.train
        if not isinstance(experience, SealedExperience):
            yield experience.test
        if experience.validation is not None:
            yield experience.validation


def _content(x: Rows, budget: int) -> bytes:
    """What tells the images from others."""
    if isinstance(x, LazyRows) and x.checksum is not None:
        return x.checksum.encode() + x.chosen.numpy().tobytes()
    return content_digest(_seen(x, budget))


def _seen(x: Rows, budget: int) -> Tensor:
    """The rows that count."""
    if isinstance(x, Tensor):
        return x
    count = min(len(x), max(1, budget // max(1, prod(x.shape[1:]))))
    return x.index_select(0, torch.linspace(0, len(x) - 1, count).long())
