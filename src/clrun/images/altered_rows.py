"""Images that are changed as they are read: many streams over one copy of the data."""

from __future__ import annotations

import hashlib
import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from clrun.device.rows import Rows
from clrun.images.download import Progress
from clrun.images.lazy_rows import AT_ONCE, LazyRows, Store, identity, stores
from clrun.images.transforms import resize


class Alteration(Protocol):
    """A change that is the same for every image."""

    def __call__(self, x: Tensor) -> Tensor:
        """[B, C, H, W] uint8 -> [B, C, H', W'] uint8"""

    def shape(self, height: int, width: int) -> tuple[int, int]:
        """H' and W'."""

    def identity(self) -> bytes:
        """Tells this alteration from any other."""


class Permutation:
    """Pixels change places, alike in every channel (Goodfellow et al. 2014, section 4:
    https://arxiv.org/abs/1312.6211)."""

    def __init__(self, order: Tensor) -> None:
        self.order = order
        """[H * W] int64: the pixel that comes to each place"""

    def __call__(self, x: Tensor) -> Tensor:
        return x.flatten(2).index_select(2, self.order).view(x.shape)

    def shape(self, height: int, width: int) -> tuple[int, int]:
        return height, width

    def identity(self) -> bytes:
        return b"permutation" + hashlib.blake2b(self.order.numpy().data).digest()


class Rotation:
    """Counter-clockwise about the centre, bilinear, black where nothing was."""

    def __init__(self, degrees: float, height: int, width: int) -> None:
        self.degrees = degrees
        c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        theta = torch.tensor([[c, -s * height / width, 0], [s * width / height, c, 0]])
        self._grid = affine_grid(theta[None], [1, 1, height, width], align_corners=False)

    def __call__(self, x: Tensor) -> Tensor:
        grid = self._grid.expand(len(x), -1, -1, -1)
        turned = grid_sample(x.float(), grid, mode="bilinear", align_corners=False)
        return turned.round_().to(torch.uint8)

    def shape(self, height: int, width: int) -> tuple[int, int]:
        return height, width

    def identity(self) -> bytes:
        return f"rotation {self.degrees!r}".encode()


class Resizing:
    """Bilinear and antialiased, as `transforms.resize`."""

    def __init__(self, side: int) -> None:
        self.side = side

    def __call__(self, x: Tensor) -> Tensor:
        return resize(x, self.side)

    def shape(self, height: int, width: int) -> tuple[int, int]:
        return self.side, self.side

    def identity(self) -> bytes:
        return f"resizing {self.side}".encode()


class MadeRows(LazyRows):
    """Rows that are made a few at a time, which bounds what is needed besides the result."""

    @abstractmethod
    def _made(self, rows: Tensor) -> Tensor:
        """[n] int64, each below `total`, n at most AT_ONCE -> [n, C, H, W] uint8"""

    def _gathered(self, rows: Tensor) -> Tensor:
        gathered = torch.empty(len(rows), *self._row_shape, dtype=torch.uint8)
        for some, place in zip(rows.split(AT_ONCE), gathered.split(AT_ONCE), strict=True):
            place.copy_(self._made(some))
        return gathered


class AlteredRows(MadeRows):
    """Rows of `x`, altered."""

    def __init__(self, x: Rows, alteration: Alteration) -> None:
        channels, height, width = x.shape[1:]
        super().__init__(len(x), (channels, *alteration.shape(height, width)))
        self._x, self._alteration = x, alteration

    def stores(self) -> frozenset[Store]:
        return stores(self._x)

    def _made(self, rows: Tensor) -> Tensor:
        return self._alteration(self._x.index_select(0, rows))

    def _origin(self) -> bytes:
        return self._alteration.identity() + identity(self._x)


class JoinedRows(MadeRows):
    """The rows of several parts, one after another."""

    def __init__(self, parts: Sequence[Rows]) -> None:
        super().__init__(sum(len(part) for part in parts), tuple(parts[0].shape[1:]))
        self._parts = tuple(parts)
        self._ends = torch.tensor([len(part) for part in parts]).cumsum(0)

    def stores(self) -> frozenset[Store]:
        return frozenset().union(*(stores(part) for part in self._parts))

    def _made(self, rows: Tensor) -> Tensor:
        made = torch.empty(len(rows), *self._row_shape, dtype=torch.uint8)
        part_of = torch.bucketize(rows, self._ends, right=True)
        for k in part_of.unique().tolist():
            here = (part_of == k).nonzero().flatten()
            start = int(self._ends[k]) - len(self._parts[k])
            made[here] = self._parts[k].index_select(0, rows[here] - start)
        return made

    def _origin(self) -> bytes:
        return b"".join(identity(part) for part in self._parts)


def altered(x: Rows, alteration: Alteration) -> Rows:
    """`x` with every row altered when it is read."""
    return AlteredRows(x, alteration)


def resized(x: Rows, side: int, on_progress: Progress | None = None) -> Rows:
    """`x` at side x side pixels: at once if it is in memory, else whenever rows are read."""
    if x.shape[2:] == (side, side):
        return x
    return resize(x, side, on_progress) if isinstance(x, Tensor) else altered(x, Resizing(side))


def joined(parts: Sequence[Rows]) -> Rows:
    """All rows in one: a tensor of tensors, and made on demand of rows that are."""
    tensors = [part for part in parts if isinstance(part, Tensor)]
    return torch.cat(tensors) if len(tensors) == len(parts) else JoinedRows(parts)
