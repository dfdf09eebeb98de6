"""What an evaluation found: shares of rows that are called right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from clrun.runner.judged import Detail

Accuracies = list[float | None]
"""None where there were no rows."""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Accuracies of one evaluation; None where there were no rows."""

    experiences: list[float | None]
    """of those that were scored: all of the stream, or its first ones"""
    classes: list[float | None]
    subset: list[float | None] | None = None
    """of the experiences again, on the rows of `eval.subset` alone; None where that is not given"""
    detail: Detail | None = None
    """None where it was not asked for"""
    task_aware: Scores | None = None
    """of the same logits, each row held against the outputs of its experience alone; None without
    `eval.task_ids`"""

    def as_dict(self) -> dict[str, Any]:
        """The lists of accuracies by name, copied."""
        own = {} if self.task_aware is None else {"task_aware": self.task_aware.as_dict()}
        return {"experiences": list(self.experiences), "classes": list(self.classes), **own}

    @staticmethod
    def of_dict(saved: Mapping[str, Any]) -> Scores:
        """Those that `as_dict` gave."""
        own = saved.get("task_aware")
        plain = {key: saved[key] for key in ("experiences", "classes")}
        return Scores(**plain, task_aware=None if own is None else Scores.of_dict(own))


def by_experience(hits: Tensor, sizes: Tensor) -> list[float | None]:
    """The share of hits [N] in each experience, one after another with so many rows."""
    ends = sizes.cumsum(0)
    right = torch.cat([torch.zeros(1, dtype=torch.int64), hits.cumsum(0)])
    return shares(right[ends] - right[ends - sizes], sizes)


def shares(right: Tensor, total: Tensor) -> list[float | None]:
    pairs: Sequence[tuple[int, int]] = list(zip(right.tolist(), total.tolist(), strict=True))
    return [r / t if t else None for r, t in pairs]
