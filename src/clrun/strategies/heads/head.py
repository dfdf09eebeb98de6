"""What the heads share: sums over rows by class, in float64, and scores solved from them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from clrun.strategies.heads.keys import StatisticsKeys

BELOW = 20.0
"""How far a class without rows is scored below the last of those with: no softmax sees it, and
no test of rounding, which the largest score decides, is lenient for it."""


class Size(NamedTuple):
    """The classes and features that a head is for."""

    num_classes: int
    dim: int
    """features of a row"""


class Head(ABC):
    """Sums over the rows that were added, `held`, from which the scores are solved.

    They are all that the head keeps: neither the order of rows nor how they are cut into
    minibatches and experiences changes them by more than rounding.
    """

    def __init__(self, keys: StatisticsKeys, size: Size, device: torch.device) -> None:
        self.keys, self.size, self.device = keys, size, device
        self.held: dict[str, Tensor] = {
            "counts": self.zeros(size.num_classes),
            "sums": self.zeros(*size),
        }

    def zeros(self, *shape: int) -> Tensor:
        return torch.zeros(*shape, dtype=torch.float64, device=self.device)

    @staticmethod
    def sizes(keys: StatisticsKeys, size: Size) -> int:
        """How many numbers it holds at most."""
        return size.num_classes * (size.dim + 1)

    def prepared(self, features: Tensor) -> Tensor:
        """The features as the head takes them. [B, d] float64 -> [B, d]"""
        return features

    @abstractmethod
    def add(self, z: Tensor, y: Tensor, first: int, count: int) -> None:
        """Count prepared rows [B, d] float64 of the classes y [B].

        They come after `first` others of their experience, which has `count`.
        """

    def end(self) -> None:  # noqa: B027 - most have nothing to do then
        """The experience is over."""

    @abstractmethod
    def scores(self) -> nn.Module:
        """What scores features [B, d] by the sums of now -> [B, C] float64."""

    def means(self) -> Tensor:
        """The mean of each class's rows [C, d]; 0 for a class without."""
        return self.held["sums"] / self.held["counts"].clamp(min=1)[:, None]

    def distances(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The mean squared distance of rows from the means of their classes, per feature, and how
        many are nearest to their own. [B, d], [B] -> [] float32 and [] int64"""
        means = self.means()
        lengths = means.square().sum(1).masked_fill(~self.seen(), torch.inf)
        nearest = (lengths - 2 * z @ means.T).argmin(1)
        return (z - means[y]).square().mean().float(), (nearest == y).sum()

    def seen(self) -> Tensor:
        """[C] bool, the classes with rows."""
        return self.held["counts"] > 0

    def vitals(self) -> dict[str, Any]:
        return {}

    def by_class(self, y: Tensor) -> Tensor:
        """[B] -> [B, C] float64, 1 at a row's class: sums by class as a product, which is as exact
        on any device and the same each time."""
        return one_hot(y, self.size.num_classes).double()


class Ranked(nn.Module):
    """Scores of classes, those without rows below all others."""

    seen: Tensor

    def __init__(self, seen: Tensor) -> None:
        super().__init__()
        self.register_buffer("seen", seen.clone())

    def ranked(self, scores: Tensor) -> Tensor:
        lowest = scores.amin(1, keepdim=True) - BELOW
        return torch.where(self.seen, scores, lowest)


class Linear(Ranked):
    """features @ weight + bias, without gradients."""

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor, seen: Tensor) -> None:
        """[d, C], [C] and [C]"""
        super().__init__(seen)
        self.register_buffer("weight", weight.clone())
        self.register_buffer("bias", bias.clone())

    def forward(self, features: Tensor) -> Tensor:
        return self.ranked(features.to(self.weight.dtype) @ self.weight + self.bias)


def merged_scatter(
    sums: Tensor, counts: Tensor, z: Tensor, by_class: Tensor, classes: Tensor
) -> Tensor:
    """Rows R with R^T R = what the scatter of each class about its mean grows by with rows `z`.

    Chan et al. 1979: the minibatch's own scatter, and the gap between its mean and that of before.
    `by_class` [B, C] tells the class of each row, `classes` [B] its number; [B + C, d]
    """
    new = by_class.sum(0)
    means = (by_class.T @ z) / new.clamp(min=1)[:, None]
    before = sums / counts.clamp(min=1)[:, None]
    weight = counts * new / (counts + new).clamp(min=1)
    return torch.cat([z - means[classes], weight.sqrt()[:, None] * (means - before)])


def solved(matrix: Tensor, right: Tensor) -> Tensor:
    """matrix^-1 @ right by Cholesky, of a symmetric matrix that is positive but for rounding.

    Where rounding has made it singular, its directions without any variance count for nothing.
    """
    factor, info = torch.linalg.cholesky_ex(matrix)
    if not int(info):
        return torch.cholesky_solve(right, factor)
    values, vectors = torch.linalg.eigh(matrix)
    floor = values.amax() * len(values) * torch.finfo(values.dtype).eps
    inverse = torch.where(values > floor, 1 / values.clamp(min=floor), 0.0)
    return vectors @ (inverse[:, None] * (vectors.T @ right))
