"""What a frozen lower part makes of images, computed once and looked up afterwards."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from math import prod

import torch
from torch import Tensor

from clrun.device.rows import Rows
from clrun.errors import StorageError
from clrun.images.lazy_rows import identity
from clrun.memory.row_order import empty_rows, is_channels_last

IN_MEMORY = 2**30
"""Bytes of latents kept in memory; more go to a file that is mapped into it."""


Compute = Callable[[], Tensor]


def nowhere_else(_nbytes: int) -> bool:
    """No latents stay where they were computed."""
    return False


def for_itself(_x: Rows, compute: Compute) -> Tensor:
    """No latents are shared with other runs."""
    return compute()


class LatentCache:
    """Latents of the images it was asked for, found again by the images' identity.

    They are computed in chunks of one shape, the last one filled up, so that a row gives the same
    bits whatever rows were beside it. `compute` turns [chunk, C, H, W] uint8 into latents.

    They stay on the device that computes them where `has_room` says so of their bytes: to read them
    from the host in every evaluation can take longer than to compute them. Others go to the CPU.
    """

    def __init__(
        self,
        compute: Callable[[Tensor], Tensor],
        *,
        chunk: int,
        in_memory: int = IN_MEMORY,
        has_room: Callable[[int], bool] = nowhere_else,
        shared: Callable[[Rows, Compute], Tensor] = for_itself,
    ) -> None:
        """`shared` gives the latents of images as another run computed them, or else calls what
        computes them."""
        self._compute, self._chunk, self._in_memory = compute, chunk, in_memory
        self._has_room, self._shared = has_room, shared
        self._held: dict[bytes, Tensor] = {}

    @property
    def nbytes(self) -> int:
        return sum(latents.nbytes for latents in self._held.values())

    def latents(self, x: Rows) -> Tensor:
        """The latents of uint8 images, looked up or computed. [N, C, H, W] -> [N, ...]

        Raises:
            StorageError: they go to a file, and there is no room for it.
        """
        key = identity(x)
        if key not in self._held:
            self._held[key] = self._shared(x, partial(self._computed, x))
        return self._held[key]

    def forget(self, x: Rows) -> None:
        """Give the space of these images' latents back."""
        self._held.pop(identity(x), None)

    def clear(self) -> None:
        """The lower part has changed: nothing held is true any more."""
        self._held.clear()

    def compute(self, x: Rows) -> Tensor:
        """As `latents`, bit for bit, without keeping any, on the CPU."""
        return torch.cat([self._chunked(rows).cpu() for rows in x.split(self._chunk)])

    def _computed(self, x: Rows) -> Tensor:
        chunks = x.split(self._chunk)
        first = self._chunked(chunks[0])
        found = self._space(len(x), first)
        for rows, place in zip(chunks, found.split(self._chunk), strict=True):
            place.copy_(first if rows is chunks[0] else self._chunked(rows))
        return found

    def _chunked(self, lazy: Rows) -> Tensor:
        rows, missing = lazy.to("cpu"), self._chunk - len(lazy)  # made or read now, where lazy
        if missing:
            rows = torch.cat([rows, rows[-1:].expand(missing, *rows.shape[1:])])
        return self._compute(rows)[: self._chunk - missing]

    def _space(self, count: int, like: Tensor) -> Tensor:
        """Room for `count` latents, in the memory order of these."""
        shape = like.shape[1:]
        size = count * prod(shape) * like.itemsize
        if self._has_room(size):
            return empty_rows(count, shape, like.dtype, like, like.device)
        on_host = sum(held.nbytes for held in self._held.values() if held.device.type == "cpu")
        if on_host + size <= self._in_memory:
            return empty_rows(count, shape, like.dtype, like)
        if not is_channels_last(like):
            return _mapped((count, *shape), like.dtype)
        channels, height, width = shape
        return _mapped((count, height, width, channels), like.dtype).permute(0, 3, 1, 2)


def _mapped(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Room in a temporary file, which disappears with the tensor."""
    size = prod(shape) * dtype.itemsize
    try:
        with tempfile.NamedTemporaryFile(prefix="clrun-latents-") as file:
            if hasattr(os, "posix_fallocate"):  # a full disk is noticed now, not while writing
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.truncate(size)
            flat = torch.from_file(file.name, shared=True, size=prod(shape), dtype=dtype)
    except OSError as error:
        raise StorageError(
            f"{tempfile.gettempdir()}: no room for {size} bytes of latents ({error.strerror}). "
            "Set TMPDIR to another folder, or strategy.latent_cache=off."
        ) from error
    return flat.view(*shape)
