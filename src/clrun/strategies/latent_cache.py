"""What a frozen lower part makes of images, computed once and looked up afterwards."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from math import prod

import torch
from torch import Tensor

from clrun.errors import StorageError

IN_MEMORY = 2**30
"""Bytes of latents kept in memory; more go to a file that is mapped into it."""


class LatentCache:
    """Latents of the images it was asked for, found again by the images' content.

    They are computed in chunks of one shape, the last one filled up, so that a row gives the same
    bits whatever rows were beside it. `compute` turns [chunk, C, H, W] uint8 into latents.
    """

    def __init__(
        self, compute: Callable[[Tensor], Tensor], *, chunk: int, in_memory: int = IN_MEMORY
    ) -> None:
        self._compute, self._chunk, self._in_memory = compute, chunk, in_memory
        self._held: dict[bytes, Tensor] = {}

    @property
    def nbytes(self) -> int:
        return sum(latents.nbytes for latents in self._held.values())

    def latents(self, x: Tensor) -> Tensor:
        """The latents of uint8 images on the CPU, looked up or computed. [N, C, H, W] -> [N, ...]

        Raises:
            StorageError: they go to a file, and there is no room for it.
        """
        key = _fingerprint(x)
        if key not in self._held:
            self._held[key] = self._computed(x)
        return self._held[key]

    def forget(self, x: Tensor) -> None:
        """Give the space of these images' latents back."""
        self._held.pop(_fingerprint(x), None)

    def clear(self) -> None:
        """The lower part has changed: nothing held is true any more."""
        self._held.clear()

    def compute(self, x: Tensor) -> Tensor:
        """As `latents`, bit for bit, without keeping any."""
        return torch.cat([self._chunked(rows).cpu() for rows in x.split(self._chunk)])

    def _computed(self, x: Tensor) -> Tensor:
        chunks = x.split(self._chunk)
        first = self._chunked(chunks[0])
        found = self._space((len(x), *first.shape[1:]), first.dtype)
        for rows, place in zip(chunks, found.split(self._chunk), strict=True):
            place.copy_(first if rows is chunks[0] else self._chunked(rows))
        return found

    def _chunked(self, rows: Tensor) -> Tensor:
        missing = self._chunk - len(rows)
        if missing:
            rows = torch.cat([rows, rows[-1:].expand(missing, *rows.shape[1:])])
        return self._compute(rows)[: self._chunk - missing]

    def _space(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        if self.nbytes + prod(shape) * dtype.itemsize <= self._in_memory:
            return torch.empty(*shape, dtype=dtype)
        return _mapped(shape, dtype)


def _fingerprint(x: Tensor) -> bytes:
    """The same for the same images, wherever they lie in memory."""
    assert x.dtype == torch.uint8, x.dtype
    told = hashlib.blake2b(str(tuple(x.shape)).encode(), digest_size=16)
    told.update(x.contiguous().numpy().data)
    return told.digest()


def _mapped(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Room in a temporary file, which disappears with the tensor."""
    size = prod(shape) * dtype.itemsize
    try:
        with tempfile.NamedTemporaryFile(prefix="clrun-latents-") as file:
            if hasattr(os, "posix_fallocate"):  # a full disk is told now, not while writing
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
