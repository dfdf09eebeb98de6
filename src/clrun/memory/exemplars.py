"""Exemplars: the rows a memory holds, with what is needed to choose among them later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Exemplars(NamedTuple):
    """Rows of a memory, or rows offered to it: all fields have one entry a row.

    A memory holds the rows of a group side by side, in the selection's order: best first, so the
    last one of a group is the first to go.
    """

    x: Tensor
    """[N, C, H, W] uint8"""
    y: Tensor
    """[N] int64, the class"""
    experience: Tensor
    """[N] int64, the experience that offered the row"""
    key: Tensor
    """[N] float64 in [0, 1), drawn when the row was offered; stays with the row"""

    @property
    def num_rows(self) -> int:
        return len(self.y)

    @property
    def nbytes(self) -> int:
        return sum(field.nbytes for field in self)

    def select(self, index: Tensor) -> Exemplars:
        """Copies of the rows at `index` [k] int64, in that order."""
        return Exemplars(*(field.index_select(0, index) for field in self))

    def span(self, start: int, stop: int) -> Exemplars:
        """Views of the rows from `start` up to `stop`."""
        return Exemplars(*(field[start:stop] for field in self))


def concatenate(parts: Sequence[Exemplars]) -> Exemplars:
    """Copies of all rows, part after part; parts without rows may have images of any shape."""
    filled = [part for part in parts if part.num_rows] or parts[:1]
    return Exemplars(*(torch.cat(fields) for fields in zip(*filled, strict=True)))


def select_from_both(held: Exemplars, new: Exemplars, index: Tensor) -> Exemplars:
    """Copies of rows of `held` followed by `new`, which may be large and are not joined for it."""
    if held.num_rows == 0 or new.num_rows == 0:
        return (new if held.num_rows == 0 else held).select(index)
    arrivals = (index >= held.num_rows).nonzero().flatten()
    from_held = index.clamp(max=held.num_rows - 1)
    from_new = index[arrivals] - held.num_rows
    return Exemplars(
        *(
            old.index_select(0, from_held).index_copy_(0, arrivals, fresh.index_select(0, from_new))
            for old, fresh in zip(held, new, strict=True)
        )
    )


def empty(like: Exemplars | None = None) -> Exemplars:
    """No rows: shaped like other rows, or before anything is known of their shape."""
    if like is not None:
        return Exemplars(*(field.new_empty((0, *field.shape[1:])) for field in like))
    return Exemplars(
        x=torch.empty((0, 0, 0, 0), dtype=torch.uint8),
        y=torch.empty(0, dtype=torch.int64),
        experience=torch.empty(0, dtype=torch.int64),
        key=torch.empty(0, dtype=torch.float64),
    )
