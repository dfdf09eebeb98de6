"""How many bytes a stream's images and labels take, and where."""

from __future__ import annotations

from typing import NamedTuple

from clrun.images.lazy_rows import Store, stores
from clrun.streams.experience import Benchmark


class Sizes(NamedTuple):
    """Bytes; what several experiences share is counted once."""

    memory: int
    """held in memory for as long as the stream is"""
    disk: int
    """read from a file as rows are asked for"""


def sizes(stream: Benchmark) -> Sizes:
    """The bytes of the whole stream: training, test and validation rows."""
    found: set[Store] = set()
    for experience in stream:
        for patterns in (experience.train, experience.test, experience.validation):
            if patterns is not None:
                found |= stores(patterns.x) | stores(patterns.y)
    disk = sum(store.nbytes for store in found if store.on_disk)
    return Sizes(sum(store.nbytes for store in found) - disk, disk)
