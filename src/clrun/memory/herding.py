"""Ranking rows by their features: herding, and distance from the centre.

Everything is computed in float64 on the CPU, so a ranking is the same on every device. Distances
that rounding cannot tell apart are equal, and the lowest index wins: symmetric rows are ranked as
by exact arithmetic, not by the last bit.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from torch import Tensor

from clrun.errors import ClrunError

EPSILON = sys.float_info.epsilon
GRAM_BYTES = 2**30
"""All products of pairs of rows are computed at once only if they fit in this."""
GRAM_SHARE = 8
"""...and only if more than one row in so many is picked; else a product with each pick is less."""


def closest_to_center(features: Tensor, k: int | None = None) -> Tensor:
    """Rank rows by their distance from the mean row. [n, d] -> [min(k, n)] int64, closest first.

    Raises:
        ClrunError: a feature is NaN, infinite or too large to square.
    """
    f = as_float64(features)
    distance = (f - f.mean(0)).norm(dim=1)
    order = distance.argsort(stable=True)
    is_farther = distance[order].diff(prepend=distance[order][:1]) > _rounding_of_a_mean(f)
    rank = torch.empty_like(order).index_copy_(0, order, is_farther.cumsum(0))
    return rank.argsort(stable=True)[:k]


def herding(features: Tensor, k: int | None = None) -> Tensor:
    """Rank rows so that the mean of every prefix is close to the mean. [n, d] -> [min(k, n)] int64

    iCaRL (Rebuffi et al. 2017, https://arxiv.org/abs/1611.07725), algorithm 4: each pick brings the
    mean of the picked rows as close as possible to the mean of all. Time O(k n d); when many are
    picked, O(n^2 d) in one matrix product, then O(k n).

    Raises:
        ClrunError: a feature is NaN, infinite or too large to square.
    """
    f = as_float64(features)
    num_picks = len(f) if k is None else min(k, len(f))
    if num_picks == 0:
        return torch.empty(0, dtype=torch.int64)
    greedy = _Greedy(f)
    at_once = len(f) ** 2 * 8 <= GRAM_BYTES and num_picks * GRAM_SHARE > len(f)
    gram = greedy.centred @ greedy.centred.T if at_once else None
    return torch.tensor([greedy.pick(gram) for _ in range(num_picks)])


def as_float64(features: Tensor) -> Tensor:
    """The features [n, d] as float64 on the CPU.

    Raises:
        ClrunError: a feature is NaN, infinite or too large to square.
    """
    assert features.ndim == 2, f"features of shape {tuple(features.shape)}, not [n, d]"
    f = features.detach().cpu().double()
    bad = int((~(f**2).sum(1).isfinite()).sum())
    if bad:
        raise ClrunError(
            f"selection: the features of {bad} of {len(f)} rows are NaN, infinite or too large to "
            "compare. Training has probably diverged: lower strategy.lr, or use selection=random."
        )
    return f


def _rounding_of_a_mean(f: Tensor) -> float:
    """How far float64 can put the mean of some rows off its place, or its distance from another."""
    return 4 * EPSILON * float(f.norm(dim=1).max()) if len(f) else 0.0


class _Greedy:
    """Herding in progress.

    With g = f - mean, and w the sum of the g picked so far, candidate k would put the mean of the
    picked rows at a distance |w + g_k| / (picks + 1) from the mean of all. |w| is the same for all,
    so what is compared is |g_k|^2 + 2 g_k w, and a pick p changes it by 2 g_k g_p. Candidates that
    this cannot tell apart for rounding are settled by the definition itself.
    """

    def __init__(self, f: Tensor) -> None:
        self.f, self.mean = f, f.mean(0)
        self.centred = f - self.mean
        self.score = (self.centred**2).sum(1)
        self.radius = float(self.score.max()) ** 0.5
        self.tie = _rounding_of_a_mean(f)
        self.picks = 0
        self.picked_sum = torch.zeros_like(self.mean)
        self.w_square = 0.0
        self.twins: Tensor | None = None

    def pick(self, gram: Tensor | None) -> int:
        """The next row. `gram` holds the products of all pairs of centred rows, if given."""
        score = self.score.numpy()
        best = int(score.argmin())
        lowest = float(score[best])
        score[best] = np.inf
        limit = lowest + 2 * self._rounding()
        if float(score.min()) <= limit:
            score[best] = lowest
            best = self._settle(torch.from_numpy(np.flatnonzero(score <= limit)))
        self.picks += 1
        self.picked_sum += self.f[best]
        self.w_square = max(0.0, self.w_square + lowest)
        products = torch.mv(self.centred, self.centred[best]) if gram is None else gram[best]
        self.score.add_(products, alpha=2)
        score[best] = np.inf
        return best

    def _rounding(self) -> float:
        """How far a score can be off: standard bounds for sums and products, in norms.

        `tie` stands for the rounding of single means. It grows with the picks for the running sum,
        and with the dimensions for the products.
        """
        t = self.picks + 1
        size = self.w_square**0.5 + self.radius + t * self.tie
        products = EPSILON * len(self.mean) * (size + t * self.radius)
        return size * (self.tie * t * (4 + t) + 2 * products)

    def _settle(self, candidates: Tensor) -> int:
        """The first of the candidates [m], ascending, that are the best by definition."""
        if self.twins is None:
            self.twins = self.f.unique(dim=0, return_inverse=True)[1]
        _, firsts = np.unique(self.twins[candidates].numpy(), return_index=True)
        rows = candidates[np.sort(firsts)]  # equal rows need comparing only once
        means = (self.picked_sum + self.f[rows]) / (self.picks + 1)
        distance = (means - self.mean).norm(dim=1)
        return int(rows[(distance <= distance.min() + self.tie).nonzero()[0]])
