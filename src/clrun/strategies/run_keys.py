"""The keys that the runner reads of any strategy: how a run is cut, scored and shown."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, kw_only=True)
class RunKeys:
    """What a strategy's `Config` may have for the runner. None is obligatory."""

    train_epochs: int = 1
    """passes over one experience"""
    train_iterations: int | None = None
    """updates of one experience, where these are given in place of passes"""
    train_mb_size: int = 32
    """rows of one update: how many threads and which device are fastest depends on it"""
    eval_mb_size: int = 512
    """most rows that `predict` is given at once"""
    eval_every: int = 0
    """0 after each experience; n also every n epochs; -1 only at the very end"""
    optimizer_state: str = "keep"
    """fresh: an experience begins without an optimizer's moments of before"""
    on_nan: str = "stop"
    """skip: a loss that is not finite is one of an update that was left out"""

    def is_over(self, epoch: int, made: int) -> bool:
        """Whether an experience is learnt: `epoch` would be next, `made` of its updates are."""
        if self.train_iterations is not None:
            return made >= self.train_iterations
        return epoch >= self.train_epochs

    def updates(self, in_an_epoch: int) -> int:
        """The updates of an experience whose epochs have so many."""
        return self.train_iterations or self.train_epochs * in_an_epoch

    @classmethod
    def of(cls, config: Any) -> RunKeys:
        """The keys that a `Config` has, and the defaults of those that it has not."""
        names = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in vars(config).items() if name in names})
