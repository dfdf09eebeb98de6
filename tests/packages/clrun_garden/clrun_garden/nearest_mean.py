"""The nearest class mean: a class is the mean of its pixels, and nothing descends.

Mensink et al. 2013, "Distance-Based Image Classification", https://doi.org/10.1109/TPAMI.2013.83.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from clrun.strategies.step import START, Position, Step


class Means(nn.Module):
    """Minus the distance of images to the mean of each class; classes not seen are never named."""

    def __init__(self, distance: str, means: Tensor, seen: Tensor | None = None) -> None:
        super().__init__()
        self.distance = distance
        self.register_buffer("means", means)
        self.register_buffer("seen", torch.ones(len(means), 1, dtype=torch.bool))
        if seen is not None:
            self.seen = seen

    def forward(self, x: Tensor) -> Tensor:
        rows, means = x.flatten(1).double(), self.means.expand(-1, x[0].numel())
        if self.distance == "cosine":
            rows, means = (torch.nn.functional.normalize(some) for some in (rows, means))
        return -torch.cdist(rows, means).masked_fill(~self.seen.T, torch.inf)


class NearestMean:
    """Names the class whose mean is nearest; classes that were never seen are never named."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        distance: Literal["euclidean", "cosine"]

    def __init__(self, config: Config, parts: Any) -> None:
        self.config, self.parts = config, parts
        self.counts = torch.zeros(parts.num_classes, 1, dtype=torch.float64)
        self.sums = torch.zeros(parts.num_classes, 1, dtype=torch.float64)  # grows to the pixels

    @classmethod
    def updates(cls, config: Config, ahead: Any) -> Sequence[int]:
        return [1] * len(ahead.labels)

    def learn(self, experience: Any, start: Position = START) -> Iterator[Step]:
        """Add the rows of each class to its sum: one update."""
        if start != START:
            return
        x, y = self._pixels(experience.train.x), experience.train.y
        self.sums = self.sums.expand(-1, x.shape[1]).index_add(0, y, x)
        self.counts += torch.bincount(y, minlength=len(self.counts))[:, None]
        nothing = torch.zeros((), dtype=torch.int64)
        yield Step(torch.zeros(()), nothing, len(y), 0, epoch=0, iteration=0, iterations=1)

    def predict(self, x: Any) -> Tensor:
        """Minus the distance to each class's mean. [B, C, H, W] -> [B, num_classes]"""
        return self.trained_predictor()(self.parts.transform.evaluation(x.to("cpu")))

    @classmethod
    def predictor(cls, config: Config, model: nn.Module, shape: Any) -> nn.Module:
        """The means alone: nothing of the model predicts."""
        pixels = shape.channels * shape.height * shape.width
        return Means(config.distance, torch.zeros(shape.num_classes, pixels, dtype=torch.float64))

    def trained_predictor(self) -> nn.Module:
        return Means(self.config.distance, self.sums / self.counts.clamp(min=1), self.counts > 0)

    def state_dict(self) -> dict[str, Any]:
        return {"sums": self.sums, "counts": self.counts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.sums, self.counts = state["sums"], state["counts"]

    def _pixels(self, x: Any) -> Tensor:
        """Pixels as a model would see them. [N, C, H, W] uint8 -> [N, C * H * W]"""
        return self.parts.transform.evaluation(x.to("cpu")).flatten(1).double()
