"""Counting rows by class and by experience."""

from __future__ import annotations

from typing import Any

from torch import Tensor


def counts(ids: Tensor) -> dict[int, int]:
    """A map from each id, in order, to how often it occurs. [N] int64"""
    found, occurrences = ids.unique(return_counts=True)
    return dict(zip(found.tolist(), occurrences.tolist(), strict=True))


def summary(y: Tensor, experience: Tensor, nbytes: int) -> dict[str, Any]:
    """What results.json says of stored rows: `rows`, `bytes`, `per_class` and `per_experience`.

    `y` [N] are the rows' classes, `experience` [N] the experiences that they are from.
    """
    return {
        "rows": len(y),
        "bytes": nbytes,
        "per_class": counts(y),
        "per_experience": counts(experience),
    }
