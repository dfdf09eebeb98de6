"""Ranking rows by their features: herding, and distance from the centre.

Rankings are those of float64 on the CPU, so they are the same on every device. Distances that
rounding cannot tell apart are equal, and the lowest index wins: symmetric rows are ranked as by
exact arithmetic, not by the last bit.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from torch import Tensor

from clrun.errors import ClrunError

EPSILON, EPSILON_32 = sys.float_info.epsilon, torch.finfo(torch.float32).eps
GRAM_BYTES = 2**30
"""All products of pairs of rows are computed at once only if they fit in this."""
GRAM_SHARE = 6
"""...and only if more than one row in so many is picked; else a product with each pick is less."""
IN_CACHE = 64
"""Rows centred at a time."""
FEW = 64
"""So many candidates are compared as they are; among more, equal rows are looked for first."""


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
    at_once = len(f) ** 2 * 8 <= GRAM_BYTES and num_picks * GRAM_SHARE > len(f)
    greedy = _Greedy(f, at_once)
    return torch.tensor([greedy.pick() for _ in range(num_picks)])


def as_float64(features: Tensor) -> Tensor:
    """The features [n, d] as float64 on the CPU.

    Raises:
        ClrunError: a feature is NaN, infinite or too large to square.
    """
    assert features.ndim == 2, f"features of shape {tuple(features.shape)}, not [n, d]"
    f = features.detach().cpu().double()
    bad = int((~f.norm(dim=1).isfinite()).sum())
    if bad:
        raise ClrunError(
            f"selection: the features of {bad} of {len(f)} rows are NaN, infinite or too large to "
            "compare. Training has probably diverged: lower strategy.lr, or use selection=random."
        )
    return f


def _rounding_of_a_mean(f: Tensor) -> float:
    """How far float64 can put the mean of some rows off its place, or its distance from another."""
    return 4 * EPSILON * float(f.norm(dim=1).max()) if len(f) else 0.0


def _centred(f: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """f - mean [n, d] in `dtype`, and the length of each row [n] in float64."""
    mean, centred, length = f.mean(0), torch.empty_like(f, dtype=dtype), f.new_empty(len(f))
    space = f.new_empty(min(IN_CACHE, len(f)), f.shape[1])
    parts = (tensor.split(IN_CACHE) for tensor in (f, centred, length))
    for rows, place, lengths in zip(*parts, strict=True):
        difference = torch.sub(rows, mean, out=space[: len(rows)])
        place.copy_(difference)
        lengths.copy_(difference.norm(dim=1))
    return centred, length


class _Greedy:
    """Herding in progress.

    With g = f - mean, and w the sum of the g picked so far, candidate k would put the mean of the
    picked rows at a distance |w + g_k| / (picks + 1) from the mean of all. |w| is the same for all,
    so what is compared is the score |g_k|^2 + 2 g_k w, in units of the largest |g|. Candidates
    whose scores are too close for their rounding are settled by the definition itself; so products
    may be taken in float32, which halves the memory to read for a pick. Vectors are NumPy's, whose
    calls on few numbers take a tenth of PyTorch's time.
    """

    def __init__(self, f: Tensor, at_once: bool) -> None:
        self.f, self.mean = f.numpy(), f.mean(0).numpy()
        centred, length = _centred(f, torch.float64 if at_once else torch.float32)
        self.unit = float(length.max()) or 1.0
        centred /= self.unit
        self.squares = ((length / self.unit) ** 2).numpy()
        self.score = self.squares.copy()
        self.at_once = at_once
        # [n, n] float64, all products of two g; or [n, d] float32, the g, to be multiplied by w
        self.factor = centred @ centred.T if at_once else centred
        self.tie = _rounding_of_a_mean(f)
        self.picks, self.picked_sum = 0, np.zeros_like(self.mean)
        self.w = np.zeros_like(self.mean)
        self.twins: Tensor | None = None

    def pick(self) -> int:
        """The next row."""
        score = self.score
        best = int(score.argmin())
        lowest = float(score[best])
        score[best] = np.inf
        limit = lowest + 2 * self._rounding()
        if float(score.min()) <= limit:
            score[best] = lowest
            best = self._settle(torch.from_numpy(np.flatnonzero(score <= limit)))
        self._take(best)
        return best

    def _take(self, best: int) -> None:
        """Let the scores be those after picking the row `best`."""
        self.picks += 1
        self.picked_sum += self.f[best]
        self.w = (self.picked_sum - self.picks * self.mean) / self.unit
        self.squares[best] = np.inf  # not to be picked again
        if self.at_once:
            self.score += 2 * self.factor[best].numpy()
            self.score[best] = np.inf
        else:
            product = torch.mv(self.factor, torch.from_numpy(self.w).float()).numpy()
            np.add(self.squares, 2 * product.astype(np.float64), out=self.score)

    def _rounding(self) -> float:
        """How far a score can be off: standard bounds for sums and products, in norms.

        The rounding of sums of rows grows with the picks, as does that of a sum of float64
        products, and that of a product with the dimensions.
        """
        t, tie = self.picks + 1, self.tie / self.unit
        size = float(np.linalg.norm(self.w)) + 1 + t * tie
        epsilon = EPSILON * (size + t) if self.at_once else EPSILON_32 * size
        return size * (tie * t * (4 + t) + 2 * epsilon * (len(self.mean) + 3))

    def _settle(self, candidates: Tensor) -> int:
        """The first of the candidates [m], ascending, that are the best by definition."""
        if len(candidates) > FEW:
            candidates = self._without_twins(candidates)
        chosen = torch.from_numpy(self.f[candidates.numpy()])
        means = (torch.from_numpy(self.picked_sum) + chosen) / (self.picks + 1)
        distance = (means - torch.from_numpy(self.mean)).norm(dim=1)
        return int(candidates[(distance <= distance.min() + self.tie).nonzero()[0]])

    def _without_twins(self, candidates: Tensor) -> Tensor:
        """The candidates [m], ascending, of equal rows only the first."""
        if self.twins is None:
            self.twins = torch.from_numpy(self.f).unique(dim=0, return_inverse=True)[1]
        firsts = np.unique(self.twins[candidates].numpy(), return_index=True)[1]
        return candidates[np.sort(firsts)]
