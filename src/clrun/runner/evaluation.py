"""How a run is scored: which stream, which experiences, how many rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from clrun.config.bounds import Count
from clrun.strategies.strategy import Strategy
from clrun.streams.experience import Benchmark, Experience, Patterns


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Accuracies of one evaluation; None where nothing was evaluated."""

    experiences: list[float | None]
    classes: list[float | None]


class Evaluation:
    """Scores a strategy on held-out rows. Changes nothing of it."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        stream: Literal["test", "validation"]
        experiences: Literal["all", "seen"]
        initial: bool
        limit_per_experience: Count | None

    def __init__(self, config: Config) -> None:
        self.config = config

    def rows(self, experience: Experience) -> Patterns:
        """The rows an experience is scored on, evenly thinned to the limit."""
        held_out = experience.test if self.config.stream == "test" else experience.validation
        assert held_out is not None, "validation rows are checked for before the run"
        limit = self.config.limit_per_experience
        if limit is None or len(held_out.y) <= limit:
            return held_out
        chosen = torch.arange(limit) * len(held_out.y) // limit
        return Patterns(held_out.x[chosen], held_out.y[chosen])

    def scores(
        self, strategy: Strategy, benchmark: Benchmark, *, seen: int, minibatch: int
    ) -> Scores:
        """Accuracy on each experience (all, or the first `seen`) and on each class."""
        classes = benchmark.shape.num_classes
        right = torch.zeros(classes, dtype=torch.int64)
        total = torch.zeros(classes, dtype=torch.int64)
        accuracies: list[float | None] = []
        for experience in benchmark.experiences:
            if self.config.experiences == "seen" and experience.index >= seen:
                accuracies.append(None)
                continue
            rows = self.rows(experience)
            hits = correct(strategy, rows, minibatch)
            right += torch.bincount(rows.y[hits], minlength=classes)
            total += torch.bincount(rows.y, minlength=classes)
            accuracies.append(int(hits.sum()) / len(rows.y) if len(rows.y) else None)
        return Scores(experiences=accuracies, classes=_shares(right, total))


def correct(strategy: Strategy, rows: Patterns, minibatch: int) -> Tensor:
    """Which rows are classified correctly. [N] bool"""
    predicted = [strategy.predict(x).argmax(1) for x in rows.x.split(minibatch)]
    return torch.cat(predicted).cpu() == rows.y if predicted else torch.zeros(0, dtype=torch.bool)


def _shares(right: Tensor, total: Tensor) -> list[float | None]:
    pairs: Sequence[tuple[int, int]] = list(zip(right.tolist(), total.tolist(), strict=True))
    return [r / t if t else None for r, t in pairs]
