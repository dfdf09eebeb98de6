"""Rows of images in a file, read when a minibatch asks for them.

The pages of a mapped file count as the process's own memory. So a file is mapped only while it is
small; a larger one is read row by row into the minibatch, which costs a call for each row and no
memory. Rows of 48 KB and more are gathered so at about three quarters of the speed from memory.
"""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clrun.errors import StorageError

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
        """Of all rows."""
        return self.count * self.row_bytes


class MappedRows:
    """Some rows of a file in some order; like a uint8 tensor [N, C, H, W] for what a stream needs.

    Choosing rows reads nothing; `index_select`, `to` and `read` do. It may be pickled, copied and
    used after a fork; the file stays readable while this lives, also when it is deleted.
    """

    dtype = torch.uint8
    device = torch.device("cpu")

    def __init__(self, file: RowFile) -> None:
        self._reader = _Reader(file)
        self._rows = torch.arange(file.count)

    @property
    def file(self) -> RowFile:
        return self._reader.file

    @property
    def rows(self) -> Tensor:
        """[N] int64: which rows of the file these are."""
        return self._rows

    @property
    def shape(self) -> torch.Size:
        return torch.Size((len(self._rows), *self.file.row_shape))

    @property
    def nbytes(self) -> int:
        """What the rows would take in memory."""
        return len(self._rows) * self.file.row_bytes

    def identity(self) -> bytes:
        """Tells these rows from any others without reading them; 16 bytes."""
        told = hashlib.blake2b(str(self.file).encode(), digest_size=16)
        told.update(self._rows.numpy().data)
        return told.digest()

    def dim(self) -> int:
        return len(self.shape)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Tensor | slice) -> MappedRows:
        """The chosen rows, not read: by number ([n] int64), by mask ([N] bool) or by slice."""
        return self._of(self._rows[index])

    def split(self, sizes: int | Sequence[int]) -> list[MappedRows]:
        """Pieces of one size (the last may be shorter) or of the given ones, not read."""
        return [self._of(rows) for rows in self._rows.split(sizes)]

    def index_select(self, dim: int, index: Tensor) -> Tensor:
        """Read the rows at `index`. [n] int64 -> [n, C, H, W] uint8

        Raises:
            StorageError: the file cannot be read, or is shorter than it was.
        """
        assert dim == 0, dim
        return self._reader.gather(self._rows.index_select(0, index))

    def read(self) -> Tensor:
        """All rows, in memory."""
        return self._reader.gather(self._rows)

    def to(self, *args: Any, **kwargs: Any) -> Tensor:
        """All rows, read and then moved as `Tensor.to` does."""
        return self.read().to(*args, **kwargs)

    def _of(self, rows: Tensor) -> MappedRows:
        chosen = object.__new__(MappedRows)
        chosen._reader, chosen._rows = self._reader, rows
        return chosen


class _Reader:
    """An open file of rows; opened anew where it is unpickled."""

    def __init__(self, file: RowFile) -> None:
        self.file = file
        self._descriptor = os.open(file.path, os.O_RDONLY | os.O_CLOEXEC)
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
