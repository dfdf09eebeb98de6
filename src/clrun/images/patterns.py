"""Images with their labels, and how they are joined and counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic

import torch
from torch import Tensor
from typing_extensions import NamedTuple, TypeVar  # generic and with a default from 3.13 on

from clrun.device.rows import Rows
from clrun.images.altered_rows import joined

X = TypeVar("X", bound=Rows, default=Rows, covariant=True)


class Patterns(NamedTuple, Generic[X]):
    """Inputs and their labels, always together: x[i] belongs to y[i].

    What a stream has is `Patterns`, in memory or not; a minibatch is `Patterns[Tensor]`.
    """

    x: X
    """[N, C, H, W] uint8: a tensor, or rows that are read or made when `index_select` asks for them
    (`lazy_rows`)"""
    y: Tensor
    """[N] int64"""


def joined_patterns(parts: Sequence[Patterns]) -> Patterns:
    """All rows, part after part; what is not in memory stays out of it."""
    return Patterns(joined([p.x for p in parts]), torch.cat([p.y for p in parts]))


def occurrence(y: Tensor) -> Tensor:
    """For each row, how many rows of its class come before it. [N] int64 -> [N] int64"""
    order = y.argsort(stable=True)
    counts = torch.bincount(y)
    starts = counts.cumsum(0) - counts
    before = torch.empty_like(y)
    before[order] = torch.arange(len(y)) - starts[y[order]]
    return before
