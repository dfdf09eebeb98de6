"""NCM: the class whose mean is nearest.

Mensink et al. 2013, "Distance-Based Image Classification: Generalizing to New Classes at Near-Zero
Cost", without its learnt metric. `normalize` gives features, and then their means, length 1 (with
it both distances rank alike); cosine without it is SimpleCIL (Zhou et al. 2024, arXiv:2303.07338).
A class that comes back is averaged by counts. Avalanche's `models/ncm_classifier.py` merges the
means of before and of now half and half instead; LAMDA-PILOT and RanPAC's class-incremental code
take the newest.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import normalize

from clrun.strategies.heads.head import Head, Ranked


class NCM(Head):
    """Class means."""

    def prepared(self, features: Tensor) -> Tensor:
        return normalize(features) if self.keys.own("normalize") else features

    def add(self, z: Tensor, y: Tensor, first: int, count: int) -> None:
        by_class = self.by_class(y)
        self.held["counts"] += by_class.sum(0)
        self.held["sums"].addmm_(by_class.T, z)

    def scores(self) -> nn.Module:
        is_cosine = self.keys.own("distance") == "cosine"
        normalizes, means = self.keys.own("normalize"), self.means()
        if normalizes or is_cosine:
            means = normalize(means)
        return Nearest(means, self.seen(), unit=normalizes or is_cosine, is_cosine=is_cosine)


class Nearest(Ranked):
    """The cosine of features and means, or minus their squared distance."""

    means: Tensor

    def __init__(self, means: Tensor, seen: Tensor, *, unit: bool, is_cosine: bool) -> None:
        """`unit`: features are given length 1, as the means [C, d] have."""
        super().__init__(seen)
        self.register_buffer("means", means.clone())
        self._unit, self._is_cosine = unit, is_cosine

    def forward(self, features: Tensor) -> Tensor:
        z = features.to(self.means.dtype)
        z = normalize(z) if self._unit else z
        products = z @ self.means.T
        if self._is_cosine:
            return self.ranked(products)
        lengths = z.square().sum(1, keepdim=True) + self.means.square().sum(1)
        return self.ranked(2 * products - lengths)
