"""What a strategy reports to the runner: that an update happened, and where in the experience."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Position(NamedTuple):
    """A place between two updates of one experience: the next update to make."""

    epoch: int = 0
    iteration: int = 0


START = Position()
"""The first update of an experience."""


class Step(NamedTuple):
    """One update. Tensors stay on the device: reading them synchronises."""

    loss: Tensor
    """[] mean criterion plus penalties of the minibatch, detached"""
    correct: Tensor
    """[] rows of the minibatch classified correctly before the update, int64"""
    patterns: int
    """rows in the minibatch, new and replayed"""
    replayed: int
    """rows of the minibatch that came from memory"""
    epoch: int
    iteration: int
    iterations: int
    """updates in this epoch"""

    @property
    def ends_epoch(self) -> bool:
        return self.iteration == self.iterations - 1

    @property
    def following(self) -> Position:
        """Where the next update of the experience would be."""
        if self.ends_epoch:
            return Position(self.epoch + 1, 0)
        return Position(self.epoch, self.iteration + 1)
