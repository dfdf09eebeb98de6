"""Rows of which only the number and the shape are asked for: what a preview counts."""

from __future__ import annotations

from math import prod

from torch import Tensor

from clrun.images.lazy_rows import LazyRows, Store


class UnreadRows(LazyRows):
    """Images that may not be there yet; reading one is our mistake."""

    def __init__(
        self, total: int, row_shape: tuple[int, ...], place: str, *, on_disk: bool = True
    ) -> None:
        """`place` is where the images are, or would be; a run has those in memory, or reads them
        from the disk when it needs them."""
        super().__init__(total, row_shape)
        self._store = Store(on_disk, place, total * prod(row_shape))

    def stores(self) -> frozenset[Store]:
        if self._store.on_disk:
            return frozenset({self._store})
        chosen = f"{self._store.place} {self.identity().hex()}"  # memory is taken for these alone
        return frozenset({Store(False, chosen, self.nbytes)})

    def _gathered(self, rows: Tensor) -> Tensor:
        raise AssertionError(f"{len(rows)} images of {self._store.place} were to be counted alone")

    def _origin(self) -> bytes:
        return repr(self._store).encode()
