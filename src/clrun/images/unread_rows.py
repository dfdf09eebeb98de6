"""Rows of which only the number and the shape are asked for: what a preview counts."""

from __future__ import annotations

from math import prod

from torch import Tensor

from clrun.images.lazy_rows import LazyRows, Store


class UnreadRows(LazyRows):
    """Images that may not be there yet; reading one is our mistake."""

    def __init__(self, total: int, row_shape: tuple[int, ...], place: str) -> None:
        """`place` is where the images are, or would be."""
        super().__init__(total, row_shape)
        self._store = Store(True, place, total * prod(row_shape))

    def stores(self) -> frozenset[Store]:
        return frozenset({self._store})

    def _gathered(self, rows: Tensor) -> Tensor:
        raise AssertionError(f"{len(rows)} images of {self._store.place} were to be counted alone")

    def _origin(self) -> bytes:
        return repr(self._store).encode()
