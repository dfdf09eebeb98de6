"""FeCAM: the class at the least Mahalanobis distance, each class with a covariance of its own.

Goswami et al. 2023, "FeCAM: Exploiting the Heterogeneity of Class Distributions in Exemplar-Free
Continual Learning", arXiv:2309.14062. Features g, none below 0, are transformed to g^`beta`
(Tukey). The covariance S of a class's transformed rows is shrunk, and made one of correlations:

    S <- S + a1 mean(diagonal of S) I + a2 mean(S off its diagonal) (1 - I)
    S_ij <- S_ij / sqrt(S_ii S_jj)
    score_c = -(q - m_c)^T S_c^-1 (q - m_c)

with q and m_c the transformed feature and the mean of the class's, each of length 1. `covariance:
shared` has one S, of all rows about the mean of their class. A class that comes back is merged by
counts; every experience, the first too, is treated alike.

The authors' `models/base.py` and Avalanche shrink twice; theirs transforms the mean instead of
averaging what is transformed, and leaves experience 0 to NCM without a transform. Their script for
vision transformers has beta=1 and a2=0. LAMDA-PILOT's correlations are those between rows of the
covariance, another matrix.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from clrun.errors import ConfigError
from clrun.strategies.heads.head import Head, Ranked, Size, merged_scatter, solved
from clrun.strategies.heads.keys import StatisticsKeys


class FeCAM(Head):
    """Class means and the scatter about each, of transformed features."""

    def __init__(self, keys: StatisticsKeys, size: Size, device: torch.device) -> None:
        super().__init__(keys, size, device)
        self._is_shared = keys.own("covariance") == "shared"
        scatters = 1 if self._is_shared else size.num_classes
        self.held["scatter"] = self.zeros(scatters, size.dim, size.dim)

    @staticmethod
    def sizes(keys: StatisticsKeys, size: Size) -> int:
        scatters = 1 if keys.own("covariance") == "shared" else size.num_classes
        return Head.sizes(keys, size) + 2 * scatters * size.dim**2  # and the inverses

    def prepared(self, features: Tensor) -> Tensor:
        beta = self.keys.own("beta")
        if beta == 1:
            return features
        if bool((features < 0).any()):
            raise ConfigError(
                f"strategy.beta={beta:g}: the layer gives negative features, which have no such "
                "power. Use strategy.beta=1, or a layer behind a ReLU."
            )
        return features**beta

    def add(self, z: Tensor, y: Tensor, first: int, count: int) -> None:
        by_class = self.by_class(y)
        counts, sums, scatter = (self.held[name] for name in ("counts", "sums", "scatter"))
        if self._is_shared:
            rows = merged_scatter(sums, counts, z, by_class, y)
            scatter[0].addmm_(rows.T, rows)
        else:
            for c in y.unique().tolist():
                ours = z[y == c]
                one, none = by_class[y == c, c : c + 1], y.new_zeros(len(ours))
                rows = merged_scatter(sums[c : c + 1], counts[c : c + 1], ours, one, none)
                scatter[c].addmm_(rows.T, rows)
        counts += by_class.sum(0)
        sums.addmm_(by_class.T, z)

    def correlations(self) -> Tensor:
        """The shrunk correlation matrices [C, d, d], or one [1, d, d]; I where nothing varies."""
        counts = self.held["counts"]
        counts = counts.sum()[None] if self._is_shared else counts
        found = self.held["scatter"] / counts.clamp(min=1)[:, None, None]
        diagonal = found.diagonal(dim1=1, dim2=2)
        off_mean = (found.sum((1, 2)) - diagonal.sum(1)) / max(1, self.size.dim**2 - self.size.dim)
        shift = self.keys.own("a2") * off_mean
        added = self.keys.own("a1") * diagonal.mean(1) - shift
        found += shift[:, None, None]
        diagonal.add_(added[:, None])
        deviation = diagonal.clamp(min=0).sqrt()
        deviation = torch.where(deviation > 0, deviation, 1.0)
        found /= deviation[:, :, None] * deviation[:, None, :]
        found.diagonal(dim1=1, dim2=2).fill_(1.0)
        return found

    def scores(self) -> nn.Module:
        unit = torch.eye(self.size.dim, dtype=torch.float64, device=self.device)
        precision = self.correlations()
        varies = self.seen().any()[None] if self._is_shared else self.seen()
        for c in varies.nonzero().flatten().tolist():
            precision[c] = solved(precision[c], unit)
        return Mahalanobis(normalize(self.means()), precision, self.seen(), self.keys.own("beta"))


class Mahalanobis(Ranked):
    """Minus the squared distance from each mean [C, d] by its class's matrix [C or 1, d, d]."""

    means: Tensor
    precision: Tensor

    def __init__(self, means: Tensor, precision: Tensor, seen: Tensor, beta: float) -> None:
        super().__init__(seen)
        self.register_buffer("means", means.clone())
        self.register_buffer("precision", precision)
        self._beta = beta

    def forward(self, features: Tensor) -> Tensor:
        z = features.to(self.means.dtype)
        z = z if self._beta == 1 else z.clamp(min=0) ** self._beta
        q, scores = normalize(z), []
        for c in range(len(self.means)):  # all at once would take C matrices [B, d]
            gap = q - self.means[c]
            scores.append(-((gap @ self.precision[c % len(self.precision)]) * gap).sum(1))
        return self.ranked(torch.stack(scores, 1))
