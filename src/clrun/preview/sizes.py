"""How many bytes a stream's images and labels take, and where."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

from clrun.images.mapped_rows import MappedRows
from clrun.streams.experience import Benchmark


class Sizes(NamedTuple):
    """Bytes; what several experiences share is counted once."""

    memory: int
    """held in memory for as long as the stream is"""
    disk: int
    """read from a file as rows are asked for"""


def sizes(stream: Benchmark) -> Sizes:
    """What the whole stream takes: training, test and validation rows."""
    memory: dict[int, int] = {}
    disk: dict[str, int] = {}
    for experience in stream:
        for patterns in (experience.train, experience.test, experience.validation):
            if patterns is not None:
                _add(patterns.x, memory, disk)
                _add(patterns.y, memory, disk)
    return Sizes(sum(memory.values()), sum(disk.values()))


def _add(rows: Any, memory: dict[int, int], disk: dict[str, int]) -> None:
    """Note what `rows` stand on: a tensor's storage, a file, or other rows that they alter."""
    if isinstance(rows, Tensor):
        storage = rows.untyped_storage()
        memory[storage.data_ptr()] = storage.nbytes()
    elif isinstance(rows, MappedRows):
        disk[str(rows.file.path)] = rows.file.nbytes
    else:
        for source in rows.sources:
            _add(source, memory, disk)
