"""Ridge regression to one-hot labels: with a random projection the second phase of RanPAC.

McDonnell et al. 2023, "RanPAC: Random Projections and Pre-trained Models for Continual Learning",
arXiv:2307.02251, without its first phase, which trains the network. With h the features and Y the
labels as one-hot rows, G and Q are sums over all rows of h^T h and h^T Y, and

    scores = h (G + lambda I)^-1 Q

There is no intercept, as in the paper. `ridge_lambda: auto` is its choice: of 10^-8, ..., 10^8 the
one whose solution of the first four fifths of an experience's rows has the least squared error on
its last fifth, then used with the sums over all experiences. Rows are shuffled, so that a fifth has
rows of several classes; where it or the rest has rows of one class alone, which any constant fits,
the lambda of before stays, and so it does in an experience of fewer than five rows. A value whose
system is singular in float64 is not a choice. RanPAC's domain-incremental code is the same sums.
Mammoth's trains the whole backbone first.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from clrun.strategies.heads.head import Head, Linear, Size, solved
from clrun.strategies.heads.keys import StatisticsKeys

GRID = [10.0**power for power in range(-8, 9)]
LAST = 0.2
"""Share of an experience's rows that come last, by which lambda is chosen."""
PARTS = ("fit", "last")
"""What an experience in progress is divided into: rows to fit with, and rows to choose by."""


class Ridge(Head):
    """The Gram matrix of features, and their products with labels: the sums of each class."""

    def __init__(self, keys: StatisticsKeys, size: Size, device: torch.device) -> None:
        super().__init__(keys, size, device)
        self.held["gram"] = self.zeros(size.dim, size.dim)
        self._is_auto = keys.own("ridge_lambda") == "auto"
        chosen = 1.0 if self._is_auto else keys.own("ridge_lambda")
        self.held["ridge_lambda"] = torch.tensor(chosen, dtype=torch.float64, device=device)

    @staticmethod
    def sizes(keys: StatisticsKeys, size: Size) -> int:
        grams = 3 if keys.own("ridge_lambda") == "auto" else 1  # two more inside an experience
        return Head.sizes(keys, size) + grams * size.dim**2

    def add(self, z: Tensor, y: Tensor, first: int, count: int) -> None:
        labels = self.by_class(y)
        self.held["counts"] += labels.sum(0)
        if not self._is_auto:
            self._accumulate("", z, labels)
            return
        cut = count - int(LAST * count) - first
        for part, rows in zip(PARTS, (slice(max(cut, 0)), slice(max(cut, 0), None)), strict=True):
            if f"{part} gram" not in self.held:
                self.held[f"{part} gram"] = self.zeros(self.size.dim, self.size.dim)
                self.held[f"{part} sums"] = self.zeros(*self.size)
                self.held[f"{part} counts"] = self.zeros(self.size.num_classes)
            self._accumulate(f"{part} ", z[rows], labels[rows])
            self.held[f"{part} counts"] += labels[rows].sum(0)

    def _accumulate(self, part: str, z: Tensor, labels: Tensor) -> None:
        self.held[f"{part}gram"].addmm_(z.T, z)
        self.held[f"{part}sums"].addmm_(labels.T, z)

    def end(self) -> None:
        """Choose the experience's lambda, and let its sums join the others."""
        if "fit gram" not in self.held:
            return
        if all(int((self.held[f"{part} counts"] > 0).sum()) > 1 for part in PARTS):
            self.held["ridge_lambda"].fill_(self._best())
        self.held["gram"], self.held["sums"] = self._total("gram"), self._total("sums")
        for part in PARTS:
            for name in ("gram", "sums", "counts"):
                del self.held[f"{part} {name}"]

    def _total(self, name: str) -> Tensor:
        parts = [self.held[f"{part} {name}"] for part in PARTS if f"{part} {name}" in self.held]
        return sum(parts, self.held[name])

    def _best(self) -> float:
        """The least squared error on the last rows, less the labels' own length; the smallest of
        equals."""
        gram, sums = self.held["last gram"], self.held["last sums"]
        errors = {}
        for ridge_lambda in GRID:
            matrix = self.held["fit gram"].clone()
            matrix.diagonal().add_(ridge_lambda)
            factor, info = torch.linalg.cholesky_ex(matrix)
            if int(info):
                continue
            weight = torch.cholesky_solve(self.held["fit sums"].T, factor)
            error = ((gram @ weight - 2 * sums.T) * weight).sum()
            errors[ridge_lambda] = float(error)
        return min(errors, key=errors.__getitem__)

    def means(self) -> Tensor:
        return self._total("sums") / self.held["counts"].clamp(min=1)[:, None]

    def scores(self) -> nn.Module:
        gram, sums = self._total("gram"), self._total("sums")
        weight = torch.zeros_like(sums.T)
        if bool(self.seen().any()):  # before, there is nothing to solve, which takes its time
            matrix = gram.clone()
            matrix.diagonal().add_(self.held["ridge_lambda"])
            weight = solved(matrix, sums.T)
        return Linear(weight, self.zeros(self.size.num_classes), self.seen())

    def vitals(self) -> dict[str, Any]:
        return {"ridge_lambda": float(self.held["ridge_lambda"])}
