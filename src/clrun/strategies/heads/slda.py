"""SLDA: linear discriminant analysis with one covariance, kept up as rows come.

Hayes & Kanan 2020, "Lifelong Machine Learning with Deep Streaming Linear Discriminant Analysis",
arXiv:1909.01520. With Lambda = [(1 - e) Sigma + e I]^-1, e = `shrinkage`,

    score_c = g . Lambda mu_c - 1/2 mu_c . Lambda mu_c

without class priors. `update: exact` has as Sigma the mean scatter of rows about the mean of their
class: minibatches are merged in one step, and order does not matter. `update: reference` is the
paper's and its authors' code: a row of class y that comes after n others adds
n / (n + 1) (g - mu_y)(g - mu_y)^T with the mean of before, which is 0 for the first row of a class.
Order matters there, which is that of the run's shuffled rows. Rows are not looped over for it.

Both start from nothing, as Avalanche's; the paper's runs on ImageNet, and
GMvandeVen/class-incremental-learning, begin with a base batch and its OAS covariance. The authors'
and Avalanche's pseudo-inverse in float32 is a Cholesky solve in float64 here.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from clrun.strategies.heads.head import Head, Linear, Size, merged_scatter, solved
from clrun.strategies.heads.keys import StatisticsKeys


class SLDA(Head):
    """Class means and the scatter about them."""

    def __init__(self, keys: StatisticsKeys, size: Size, device: torch.device) -> None:
        super().__init__(keys, size, device)
        self.held["scatter"] = self.zeros(size.dim, size.dim)

    @staticmethod
    def sizes(keys: StatisticsKeys, size: Size) -> int:
        return Head.sizes(keys, size) + size.dim**2

    def add(self, z: Tensor, y: Tensor, first: int, count: int) -> None:
        by_class = self.by_class(y)
        counts, sums = self.held["counts"], self.held["sums"]
        if self.keys.own("update") == "exact":
            rows = merged_scatter(sums, counts, z, by_class, y)
        else:
            rows = _one_by_one(sums, counts, z, by_class, y)
        self.held["scatter"].addmm_(rows.T, rows)
        counts += by_class.sum(0)
        sums.addmm_(by_class.T, z)

    def scores(self) -> nn.Module:
        means, e = self.means(), self.keys.own("shrinkage")
        covariance = self.held["scatter"] / self.held["counts"].sum().clamp(min=1)
        shrunk = (1 - e) * covariance
        shrunk.diagonal().add_(e)
        weight = solved(shrunk, means.T)
        return Linear(weight, -0.5 * (means.T * weight).sum(0), self.seen())


def _one_by_one(sums: Tensor, counts: Tensor, z: Tensor, by_class: Tensor, y: Tensor) -> Tensor:
    """Rows R with R^T R = what the reference adds for each row [B, d] in turn.

    The sum of a class's rows before each row is a running sum of its rows, which lie side by side
    once sorted by class, less that where the class begins.
    """
    order = y.argsort(stable=True)
    sorted_z, sorted_y = z[order], y[order]
    new = by_class.sum(0)
    running = sorted_z.cumsum(0) - sorted_z
    first = (new.cumsum(0) - new).long().clamp(max=len(y) - 1)
    place = torch.arange(len(y), device=y.device) - first[sorted_y]
    before = sums[sorted_y] + running - running[first[sorted_y]]
    known = counts[sorted_y] + place
    gaps = torch.empty_like(z)
    gaps[order] = sorted_z - before / known.clamp(min=1)[:, None]
    n = counts.sum() + torch.arange(len(y), device=y.device)
    return gaps * (n / (n + 1)).sqrt()[:, None]
