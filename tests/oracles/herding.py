"""Herding by its definition: every pick computes every candidate's mean anew."""

from __future__ import annotations

import torch
from torch import Tensor

TIE = 1e-12


def by_definition(features: Tensor, k: int | None = None) -> list[int]:
    """The first k picks (default: all) of features [n, d], in float64.

    Equal rows make ties: of distances that only rounding tells apart, the first row is the pick.
    """
    f = features.double()
    mean, picked_mean = f.mean(0), torch.zeros(f.shape[1], dtype=torch.float64)
    order: list[int] = []
    for t in range(len(f) if k is None else k):
        means = (t * picked_mean + f) / (t + 1)
        distances = (means - mean).norm(dim=1)
        distances[order] = torch.inf
        order.append(int((distances <= distances.min() + TIE).nonzero()[0]))
        picked_mean = means[order[-1]]
    return order
