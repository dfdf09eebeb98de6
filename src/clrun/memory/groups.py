"""Rows by group, for a group id a row. Loops elsewhere run over groups, never over rows."""

from __future__ import annotations

import torch
from torch import Tensor


def grouped(group: Tensor) -> tuple[Tensor, Tensor]:
    """The indices of all rows, group after group by id, and the number of rows of each group.

    Within a group they ascend. [N] int64 -> [N], [G]
    """
    counts = group.unique(return_counts=True)[1]
    return group.argsort(stable=True), counts


def members(group: Tensor) -> dict[int, Tensor]:
    """A map from each group, by id, to the indices of its rows, ascending. [N] int64"""
    ids, counts = group.unique(return_counts=True)
    rows = group.argsort(stable=True).split(counts.tolist())
    return dict(zip(ids.tolist(), rows, strict=True))


def runs(group: Tensor) -> dict[int, tuple[int, int]]:
    """A map from each group, as they lie, to (start, stop) of its rows, which lie side by side."""
    ids, counts = torch.unique_consecutive(group, return_counts=True)
    stops = counts.cumsum(0)
    spans = zip((stops - counts).tolist(), stops.tolist(), strict=True)
    found = dict(zip(ids.tolist(), spans, strict=True))
    assert len(found) == len(ids), "the rows of a group lie side by side"
    return found
