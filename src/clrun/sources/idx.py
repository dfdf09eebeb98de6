"""Read IDX files, plain or gzipped: how MNIST and its likes are published.

Format: https://yann.lecun.com/exdb/mnist/ - two zero bytes, the element type (8: unsigned byte),
the number of dimensions, each dimension as a big-endian 32-bit integer, then the elements.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from clrun.disk.opening import open_regular
from clrun.images.files import DamagedFile, check_readable

MOST_BYTES = 1 << 30
"""More than any set of this kind has: a gzip file may unpack to a thousand times its size."""


def idx_shape(path: Path, dimensions: int) -> tuple[int, ...]:
    """The shape that the header promises; a plain file's size must fit it.

    Raises:
        DamagedFile: not an IDX file of unsigned bytes with so many dimensions, or too short.
    """
    with _opened(path) as file:
        shape = _header(file, path, dimensions)
    if path.suffix != ".gz":
        _check_size(path, path.stat().st_size - 4 - 4 * dimensions, math.prod(shape))
    return shape


def read_idx(path: Path, dimensions: int) -> Tensor:
    """All elements, in the file's shape, uint8.

    Raises:
        DamagedFile: see `idx_shape`; also a gzip file that is cut short or has a wrong checksum.
    """
    with _opened(path) as file:
        shape = _header(file, path, dimensions)
        content = bytearray(file.read(min(math.prod(shape), MOST_BYTES) + 1))
    _check_size(path, len(content), math.prod(shape))
    return torch.frombuffer(content, dtype=torch.uint8).view(shape)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO | gzip.GzipFile]:
    check_readable(path)
    try:
        with open_regular(path) as file:
            yield gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DamagedFile(f"{path.name} is no complete gzip file ({error})") from error


def _header(file: BinaryIO | gzip.GzipFile, path: Path, dimensions: int) -> tuple[int, ...]:
    magic = bytes((0, 0, 8, dimensions))
    head = file.read(4 + 4 * dimensions)
    if head[:4] != magic:
        raise DamagedFile(f"{path.name} starts with {head[:4].hex()} instead of {magic.hex()}")
    if len(head) < 4 + 4 * dimensions:
        raise DamagedFile(f"{path.name} ends within its header")
    shape = struct.unpack(f">{dimensions}I", head[4:])
    if 0 in shape:
        raise DamagedFile(f"{path.name} says that it holds nothing (shape {shape})")
    return shape


def _check_size(path: Path, found: int, promised: int) -> None:
    if found != promised:
        raise DamagedFile(
            f"{path.name} holds {found} bytes of data where its header says {promised}"
        )
