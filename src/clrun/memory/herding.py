"""Ranking rows by their features: herding, and distance from the centre.

Everything is computed in float64 on the CPU, so a ranking is the same on every device.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from torch import Tensor

from clrun.errors import ClrunError

GRAM_BYTES = 2**30
"""All products of pairs of rows are computed at once only if they fit in this."""
GRAM_SHARE = 8
"""...and only if more than one row in so many is picked; else a product with each pick is less."""


def closest_to_center(features: Tensor, k: int | None = None) -> Tensor:
    """Rank rows by their distance from the mean row. [n, d] -> [min(k, n)] int64, closest first.

    Equal distances keep the rows' order.

    Raises:
        ClrunError: a feature is NaN, infinite or too large to square.
    """
    f = as_float64(features)
    return ((f - f.mean(0)) ** 2).sum(1).argsort(stable=True)[:k]


def herding(features: Tensor, k: int | None = None) -> Tensor:
    """Rank rows so that the mean of every prefix is close to the mean. [n, d] -> [min(k, n)] int64

    iCaRL (Rebuffi et al. 2017, https://arxiv.org/abs/1611.07725), algorithm 4: each pick brings the
    mean of the picked rows as close as possible to the mean of all; the lowest index wins a tie.
    Time O(k n d); with all products of pairs at hand O(n^2 d) in one matrix product, then O(k n).

    Raises:
        ClrunError: a feature is NaN, infinite or too large to square.
    """
    f = as_float64(features)
    num_picks = len(f) if k is None else min(k, len(f))
    if num_picks == 0:
        return torch.empty(0, dtype=torch.int64)
    greedy = _Greedy(f)
    whole = len(f) ** 2 * 8 <= GRAM_BYTES and num_picks * GRAM_SHARE > len(f)
    gram = greedy.centred @ greedy.centred.T if whole else None
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


class _Greedy:
    """Herding in progress.

    With g = f - mean, and w the sum of the g picked so far, the candidate k leaves its prefix's
    mean at a distance |w + g_k| / (picks + 1) from the mean of all. |w| is the same for all, so
    what is compared is |g_k|^2 + 2 g_k w, and a pick p changes it by 2 g_k g_p. Rows closer to each
    other than rounding can tell are settled by the definition itself.
    """

    def __init__(self, f: Tensor) -> None:
        self.f, self.mean = f, f.mean(0)
        self.centred = f - self.mean
        squares = (self.centred**2).sum(1)
        self.score = squares.clone()
        self.radius = float(squares.max()) ** 0.5
        self.magnitude = float(self.mean.norm() + self.radius)  # at least the largest |f|
        self.picks = 0
        self.w_square = 0.0
        self.picked_mean = torch.zeros_like(self.mean)
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
        self.picked_mean = (self.picks * self.picked_mean + self.f[best]) / (self.picks + 1)
        self.picks += 1
        self.w_square = max(0.0, self.w_square + lowest)
        products = torch.mv(self.centred, self.centred[best]) if gram is None else gram[best]
        self.score.add_(products, alpha=2)
        score[best] = np.inf
        return best

    def _rounding(self) -> float:
        """How far a score can be from what the definition gives, both in float64.

        Standard bounds on sums and products, in norms: the definition's rounding of candidate
        means, the drift of its running mean, our dot products, and our running sum of them.
        """
        size, t = self.w_square**0.5 + self.radius, self.picks + 1
        per_dimension = len(self.mean) * (size + t * self.radius)
        return (
            2 * sys.float_info.epsilon * size * (self.magnitude * t * (8 + 2 * t) + per_dimension)
        )

    def _settle(self, candidates: Tensor) -> int:
        """The candidate that the definition picks, by its own operations."""
        if self.twins is None:
            self.twins = self.f.unique(dim=0, return_inverse=True)[1]
        _, firsts = np.unique(self.twins[candidates].numpy(), return_index=True)
        rows = candidates[np.sort(firsts)]  # of equal rows only the first can be picked
        means = (self.picks * self.picked_mean + self.f[rows]) / (self.picks + 1)
        return int(rows[((means - self.mean) ** 2).sum(1).argmin()])
