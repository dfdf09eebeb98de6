"""Rows of images in a file, read when a minibatch asks for them.

The pages of a mapped file count as the process's own memory. So a file is mapped only while it is
small; a larger one is read row by row into the minibatch, which costs a call for each row and no
memory. Rows of 48 KB and more are gathered so at about three quarters of the speed from memory.
"""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass
from itertools import repeat
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clrun.disk.opening import regular_descriptor
from clrun.errors import StorageError
from clrun.images.lazy_rows import LazyRows, Store

MAPPED_BYTES = 512 << 20
"""Up to this size a file is mapped whole: CORe50 at 32 px is 506 MB."""


@dataclass(frozen=True)
class RowFile:
    """A file that ends with `count` rows, one after another."""

    path: Path
    count: int
    row_shape: tuple[int, ...]
    """[C, H, W], bytes"""

    @property
    def row_bytes(self) -> int:
        return prod(self.row_shape)

    @property
    def nbytes(self) -> int:
        """Bytes of all rows."""
        return self.count * self.row_bytes


class MappedRows(LazyRows):
    """Some rows of a file in some order.

    They may be pickled, copied and used after a fork; the file stays readable while they live,
    also when it is deleted.
    """

    def __init__(self, file: RowFile, checksum: str | None = None) -> None:
        super().__init__(file.count, file.row_shape)
        self.checksum = checksum
        self._reader = _Reader(file)

    @property
    def file(self) -> RowFile:
        """The file that the rows are in."""
        return self._reader.file

    def stores(self) -> frozenset[Store]:
        return frozenset({Store(True, str(self.file.path), self.file.nbytes)})

    def _gathered(self, rows: Tensor) -> Tensor:
        return self._reader.gather(rows)

    def _origin(self) -> bytes:
        return str(self.file).encode()


class _Reader:
    """An open file of rows; opened anew where it is unpickled."""

    def __init__(self, file: RowFile) -> None:
        self.file = file
        self._descriptor = regular_descriptor(file.path)
        self._start = os.fstat(self._descriptor).st_size - file.nbytes
        assert self._start >= 0, f"{file.path} is shorter than its manifest says"
        self._mapped = self._map() if file.nbytes <= MAPPED_BYTES else None

    def gather(self, rows: Tensor) -> Tensor:
        """[n] int64 -> [n, C, H, W] uint8"""
        if self._mapped is not None:
            return self._mapped.index_select(0, rows)
        gathered = torch.empty((len(rows), *self.file.row_shape), dtype=torch.uint8)
        if len(rows):
            self._read_into(gathered.view(len(rows), -1).numpy(), rows)
        return gathered

    def _read_into(self, target: np.ndarray, rows: Tensor) -> None:
        """One positioned read for each row, looped over in C; threads and forks may share it."""
        offsets = (rows * self.file.row_bytes + self._start).tolist()
        try:
            found = sum(map(os.preadv, repeat(self._descriptor), zip(target, strict=True), offsets))
        except OSError as error:
            raise StorageError(f"{self.file.path}: cannot be read ({error.strerror}).") from error
        if found != target.nbytes:
            raise StorageError(f"{self.file.path}: was cut short. Delete its folder.")

    def _map(self) -> Tensor | None:
        if self.file.nbytes == 0:
            return torch.empty((0, *self.file.row_shape), dtype=torch.uint8)
        # ACCESS_COPY: PyTorch wants memory it could write to; nobody does, so nothing is copied
        pages = mmap.mmap(self._descriptor, 0, access=mmap.ACCESS_COPY)
        flat = torch.frombuffer(pages, dtype=torch.uint8, offset=self._start)
        return flat.view(self.file.count, *self.file.row_shape)

    def __reduce__(self) -> tuple[type[_Reader], tuple[RowFile]]:
        return _Reader, (self.file,)

    def __deepcopy__(self, memo: dict[int, Any]) -> _Reader:
        return self  # read-only, so there is nothing to copy

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):  # not where opening failed
            os.close(self._descriptor)
