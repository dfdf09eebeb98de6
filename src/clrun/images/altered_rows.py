"""Images that are changed as they are read: many streams over one copy of the data.

Both kinds of rows here behave like a uint8 tensor [N, C, H, W] as far as a stream, a memory and a
strategy use one, and make no image before `index_select`, `to` or `read` ask for it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Protocol, cast

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from clrun.images.transforms import resize

AT_ONCE = 1024
"""Rows that are altered together: bounds what is needed besides the result."""


class Alteration(Protocol):
    """What happens to an image; the same for every image."""

    def __call__(self, x: Tensor) -> Tensor:
        """[B, C, H, W] uint8 -> [B, C, H', W'] uint8"""

    def shape(self, height: int, width: int) -> tuple[int, int]:
        """H' and W'."""


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


class Rotation:
    """Counter-clockwise about the centre, bilinear, black where nothing was."""

    def __init__(self, degrees: float, height: int, width: int) -> None:
        c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        theta = torch.tensor([[c, -s * height / width, 0], [s * width / height, c, 0]])
        self._grid = affine_grid(theta[None], [1, 1, height, width], align_corners=False)

    def __call__(self, x: Tensor) -> Tensor:
        grid = self._grid.expand(len(x), -1, -1, -1)
        turned = grid_sample(x.float(), grid, mode="bilinear", align_corners=False)
        return turned.round_().to(torch.uint8)

    def shape(self, height: int, width: int) -> tuple[int, int]:
        return height, width


class Resizing:
    """Bilinear and antialiased, as `transforms.resize`."""

    def __init__(self, side: int) -> None:
        self.side = side

    def __call__(self, x: Tensor) -> Tensor:
        return resize(x, self.side)

    def shape(self, height: int, width: int) -> tuple[int, int]:
        return self.side, self.side


class LazyRows(ABC):
    """Rows chosen from `total` ones that a subclass knows how to make."""

    dtype = torch.uint8
    device = torch.device("cpu")

    def __init__(self, total: int, image: tuple[int, ...]) -> None:
        self._index = torch.arange(total)
        self._image = image

    @abstractmethod
    def _made(self, rows: Tensor) -> Tensor:
        """[n] int64, each below `total` -> [n, C, H, W] uint8"""

    @property
    @abstractmethod
    def sources(self) -> tuple[Tensor, ...]:
        """What the rows are made from."""

    @property
    def shape(self) -> torch.Size:
        return torch.Size((len(self), *self._image))

    @property
    def nbytes(self) -> int:
        """What a tensor of these rows would take."""
        return math.prod(self.shape)

    def __len__(self) -> int:
        return len(self._index)

    def dim(self) -> int:
        return len(self.shape)

    def index_select(self, dim: int, index: Tensor) -> Tensor:
        """Rows made. [n] int64 -> [n, C, H, W] uint8"""
        assert dim == 0, dim
        rows = self._index.index_select(0, index)
        made = torch.empty(len(rows), *self._image, dtype=torch.uint8)
        for some, place in zip(rows.split(AT_ONCE), made.split(AT_ONCE), strict=True):
            place.copy_(self._made(some))
        return made

    def __getitem__(self, rows: Tensor | slice) -> LazyRows:
        """A choice of rows, none of them made yet."""
        view = object.__new__(type(self))
        view.__dict__.update(self.__dict__)
        view._index = self._index[rows]
        return view

    def __iter__(self) -> Iterator[Tensor]:
        for rows in torch.arange(len(self)).split(AT_ONCE):
            yield from self.index_select(0, rows)

    def split(self, sizes: int | Sequence[int]) -> list[LazyRows]:
        """Neighbouring rows, none of them made yet."""
        places = torch.arange(len(self)).split(cast(int, sizes))
        return [self[rows] for rows in places]

    def read(self) -> Tensor:
        """All rows made."""
        return self.index_select(0, torch.arange(len(self)))

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Tensor:
        """All rows made, and put on a device."""
        return self.read().to(device, non_blocking=non_blocking)


class AlteredRows(LazyRows):
    """Rows of `x` (a tensor, or rows that behave like one), altered."""

    def __init__(self, x: Tensor, alteration: Alteration) -> None:
        channels, height, width = x.shape[1:]
        super().__init__(len(x), (channels, *alteration.shape(height, width)))
        self._x, self._alteration = x, alteration

    @property
    def sources(self) -> tuple[Tensor, ...]:
        return (self._x,)

    def _made(self, rows: Tensor) -> Tensor:
        return self._alteration(self._x.index_select(0, rows))


class JoinedRows(LazyRows):
    """The rows of several parts, one after another."""

    def __init__(self, parts: Sequence[Tensor]) -> None:
        super().__init__(sum(len(part) for part in parts), tuple(parts[0].shape[1:]))
        self._parts = tuple(parts)
        self._ends = torch.tensor([len(part) for part in parts]).cumsum(0)

    @property
    def sources(self) -> tuple[Tensor, ...]:
        return self._parts

    def _made(self, rows: Tensor) -> Tensor:
        made = torch.empty(len(rows), *self._image, dtype=torch.uint8)
        of = torch.bucketize(rows, self._ends, right=True)
        for k in of.unique().tolist():
            here = (of == k).nonzero().flatten()
            start = int(self._ends[k]) - len(self._parts[k])
            made[here] = self._parts[k].index_select(0, rows[here] - start)
        return made


def altered(x: Tensor, alteration: Alteration) -> Tensor:
    """`x` with every row altered when it is read; called a tensor because it serves as one."""
    return cast(Tensor, AlteredRows(x, alteration))


def joined(parts: Sequence[Tensor]) -> Tensor:
    """All rows in one: a tensor of tensors, and made on demand of rows that are."""
    if all(isinstance(part, Tensor) for part in parts):
        return torch.cat(list(parts))
    return cast(Tensor, JoinedRows(parts))
