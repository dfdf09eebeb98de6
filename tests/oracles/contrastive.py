"""The supervised contrastive loss by its definition, one pair of rows at a time."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def supervised_contrastive(rows: Tensor, y: Sequence[int], temperature: float) -> Tensor:
    """The mean over anchors that have a positive; with gradients for rows [n, k] float64."""
    z = [row / row.square().sum().sqrt() for row in rows]
    losses = []
    for i in range(len(y)):
        others = [a for a in range(len(y)) if a != i]
        positives = [p for p in others if y[p] == y[i]]
        if not positives:
            continue
        total = sum(((z[i] @ z[a]) / temperature).exp() for a in others)
        logs = [(((z[i] @ z[p]) / temperature).exp() / total).log() for p in positives]
        losses.append(-torch.stack(logs).sum() / len(positives))
    return torch.stack(losses).mean()
