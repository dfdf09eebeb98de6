"""Rows of images that are read or made only when they are asked for.

Such rows stand where a uint8 tensor [N, C, H, W] could: both are `Rows`, the type of `Patterns.x`.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from copy import copy
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor

from clrun.device.rows import Rows
from clrun.images.content import content_digest

AT_ONCE = 1024
"""Rows that are read or made together by whoever goes through all of them."""


class Store(NamedTuple):
    """Bytes that rows are read or made from; equal where several rows share them."""

    on_disk: bool
    place: str | int
    """a file's path, or where a tensor's memory begins"""
    nbytes: int


class LazyRows(ABC):
    """Rows chosen from `total` ones that a subclass knows how to gather, in any order.

    Choosing rows (by index, mask, slice or `split`) reads and makes nothing.
    """

    dtype = torch.uint8
    device = torch.device("cpu")
    checksum: str | None = None
    """what is known of the content of all `total` rows without reading them: another one, if a
    single pixel is another"""

    def __init__(self, total: int, row_shape: tuple[int, ...]) -> None:
        self._chosen = torch.arange(total)
        self._row_shape = row_shape

    @abstractmethod
    def stores(self) -> frozenset[Store]:
        """Everything that the rows are read or made from."""

    @abstractmethod
    def _gathered(self, rows: Tensor) -> Tensor:
        """[n] int64, each below `total` -> [n, C, H, W] uint8"""

    @abstractmethod
    def _origin(self) -> bytes:
        """Tells all `total` rows from those of any other origin."""

    @property
    def chosen(self) -> Tensor:
        """[N] int64: which of the `total` rows these are."""
        return self._chosen

    @property
    def shape(self) -> torch.Size:
        return torch.Size((len(self), *self._row_shape))

    @property
    def nbytes(self) -> int:
        """Bytes that a tensor of these rows would take."""
        return prod(self.shape)

    def __len__(self) -> int:
        return len(self._chosen)

    def __iter__(self) -> Iterator[Tensor]:
        for rows in torch.arange(len(self)).split(AT_ONCE):
            yield from self.index_select(0, rows)

    def dim(self) -> int:
        return len(self.shape)

    def identity(self) -> bytes:
        """Tells these rows from any others without reading them; 16 bytes."""
        digest = hashlib.blake2b(self._origin(), digest_size=16)
        digest.update(self._chosen.numpy().data)
        return digest.digest()

    def __getitem__(self, index: Tensor | slice) -> LazyRows:
        """The chosen rows: by number ([n] int64), by mask ([N] bool) or by slice."""
        return self._of(self._chosen[index])

    def split(self, sizes: int | Sequence[int]) -> list[LazyRows]:
        """Neighbouring rows, in pieces of one size (the last may be shorter) or of those given."""
        return [self._of(rows) for rows in self._chosen.split(sizes)]

    def index_select(self, dim: int, index: Tensor) -> Tensor:
        """The rows at `index`, in memory. [n] int64 -> [n, C, H, W] uint8

        Raises:
            StorageError: a file that they come from cannot be read, or is shorter than it was.
        """
        assert dim == 0, dim
        return self._gathered(self._chosen.index_select(0, index))

    def read(self) -> Tensor:
        """All rows, in memory."""
        return self._gathered(self._chosen)

    def to(self, *args: Any, **kwargs: Any) -> Tensor:
        """All rows, in memory and then moved as `Tensor.to` does."""
        return self.read().to(*args, **kwargs)

    def _of(self, chosen: Tensor) -> LazyRows:
        view = copy(self)
        view._chosen = chosen
        return view


def identity(rows: Rows) -> bytes:
    """16 bytes that are the same for the same rows.

    They depend on the images where these are in memory, and else on where each row comes from, so
    that none is read. The same images in memory and in a file have two identities.
    """
    if isinstance(rows, LazyRows):
        return rows.identity()
    assert isinstance(rows, Tensor), type(rows)
    return content_digest(rows)


def stores(rows: Rows | Tensor) -> frozenset[Store]:
    """Everything that rows stand on: a tensor's memory, a file, or what they are made from."""
    if isinstance(rows, LazyRows):
        return rows.stores()
    assert isinstance(rows, Tensor), type(rows)
    memory = rows.untyped_storage()
    return frozenset({Store(False, memory.data_ptr(), memory.nbytes())})
