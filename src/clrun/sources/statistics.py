"""Mean and deviation of each channel, a block at a time, and where they are remembered."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from clrun.device.rows import Rows
from clrun.disk.checked_json import read_checked_json, write_checked_json
from clrun.disk.files import storage_errors
from clrun.disk.fingerprints import fingerprint
from clrun.images.cache import cache_folder

VERSION = 4
BLOCK_BYTES = 1 << 24
LEVELS = 256
"""of a pixel"""
Statistics = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and deviation of each channel, pixels in [0, 1]."""


@dataclass(frozen=True)
class Facts:
    """Facts that are known only after every file was read."""

    channels: int
    height: int
    width: int
    mean: tuple[float, ...]
    """The mean of each channel over the training images, pixels in [0, 1]."""
    std: tuple[float, ...]
    notes: tuple[str, ...] = ()
    """what a user should know of the pixels"""


def channel_statistics(x: Rows) -> Statistics:
    """Mean and standard deviation of each channel, pixels in [0, 1]; exact, from how often each
    level occurs: pixels stay bytes, which takes a thirtieth of the time of sums.

    A channel that is the same everywhere gets a deviation of one grey level, to divide by.
    `x`: [N, C, H, W] uint8, in memory or not.
    """
    n, channels, height, width = x.shape
    block = max(1, BLOCK_BYTES // (channels * height * width))
    counts = torch.zeros(channels, LEVELS, dtype=torch.int64)
    for start in range(0, n, block):
        rows = x.index_select(0, torch.arange(start, min(n, start + block)))
        for channel, seen in enumerate(counts):
            seen += torch.bincount(rows[:, channel].reshape(-1), minlength=LEVELS)
    levels, count = torch.arange(LEVELS), n * height * width
    mean = (counts * levels).sum(1).double() / count
    squares = (counts * levels.square()).sum(1)
    variance = squares.double() / count - mean.square()
    std = variance.clamp(min=0).sqrt().clamp(min=1)
    return tuple((mean / 255).tolist()), tuple((std / 255).tolist())


def known(statistics: Statistics | None) -> Statistics:
    """The statistics of a source that computes them while it loads."""
    assert statistics is not None, "asked for before the images were loaded"
    return statistics


class FactsKey(NamedTuple):
    """Where facts are remembered, and for which state of the files they are true."""

    name: str
    exact: str
    """the exact fingerprint of the files: facts of touched ones are found out again"""


def facts_key(*parts: object, files: Sequence[Path]) -> FactsKey:
    """The key of facts that follow from these files and from what is made of them."""
    seen = fingerprint(files)
    name = hashlib.sha256(repr((VERSION, *parts, seen.usual)).encode()).hexdigest()
    return FactsKey(name, seen.exact)


def recall(key: FactsKey) -> Facts | None:
    """The facts remembered under this key; None if there are none, or they are broken."""
    found: dict[str, Any] | None = read_checked_json(_place(key))
    if found is None or found.pop("exact") != key.exact:
        return None
    lists = {name: tuple(found[name]) for name in ("mean", "std", "notes")}
    return Facts(**{**found, **lists})


def remember(key: FactsKey, facts: Facts) -> None:
    """Write the facts beside the image cache, whole or not at all.

    Raises:
        StorageError: they cannot be written.
    """
    place = _place(key)
    with storage_errors(place):
        place.parent.mkdir(parents=True, exist_ok=True)
    write_checked_json(place, {"exact": key.exact, **asdict(facts)})


def _place(key: FactsKey) -> Path:
    return cache_folder() / "facts" / f"{key.name}.json"
