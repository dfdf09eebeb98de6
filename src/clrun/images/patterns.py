"""Images with their labels, and how they are joined and counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from clrun.images.altered_rows import joined


class Patterns(NamedTuple):
    """Inputs and their labels, always together: x[i] belongs to y[i]."""

    x: Tensor
    """[N, C, H, W] uint8; or rows that serve as such a tensor and are read or made only when
    `index_select` asks for them (`mapped_rows`, `altered_rows`)"""
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
