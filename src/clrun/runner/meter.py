"""Training loss and accuracy, left on the device until they are read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from clrun.strategies.step import Step


class Update(NamedTuple):
    """The numbers of one update, on the host."""

    loss: float
    correct: int
    patterns: int


class Sums(NamedTuple):
    """Sums over patterns."""

    loss: float = 0.0
    correct: int = 0
    patterns: int = 0

    def with_updates(self, updates: Sequence[Update]) -> Sums:
        """These sums with some updates more."""
        loss = sum(update.loss * update.patterns for update in updates)
        return Sums(
            self.loss + loss,
            self.correct + sum(update.correct for update in updates),
            self.patterns + sum(update.patterns for update in updates),
        )

    def means(self) -> tuple[float | None, float | None]:
        """Loss and accuracy per pattern; None of none."""
        if not self.patterns:
            return None, None
        return self.loss / self.patterns, self.correct / self.patterns


class Meter:
    """Mean loss and accuracy of the updates since they were last read, and of the epoch.

    Updates are only noted, so they cost nothing until they are read.
    """

    def __init__(self) -> None:
        self._steps: list[Step] = []  # their tensors are still on the device
        self._updates: list[Update] = []  # on the host, and in no sum yet
        self._interval = self._epoch = Sums()
        self.left_out = 0
        """updates whose loss is not finite, and which were not made, since the run began"""

    def add(self, step: Step) -> None:
        """Count an update. Does not synchronise."""
        self._steps.append(step)

    def fetch(self) -> Sequence[tuple[Step, Update]]:
        """The updates since this was last called, with their numbers. Synchronises."""
        if not self._steps:
            return []
        steps, self._steps = self._steps, []
        updates = fetched(steps)
        self._updates += updates
        self.left_out += sum(not math.isfinite(update.loss) for update in updates)
        return list(zip(steps, updates, strict=True))

    def read_interval(self) -> tuple[float | None, float | None]:
        """Loss and accuracy since the last reading. Synchronises."""
        self._add_up()
        means, self._interval = self._interval.means(), Sums()
        return means

    def read_epoch(self) -> tuple[float | None, float | None]:
        """Loss and accuracy of the epoch, which ends here. Synchronises."""
        self._add_up()
        means, self._epoch = self._epoch.means(), Sums()
        return means

    def _add_up(self) -> None:
        """Only here, since the last bits of a sum depend on what is added to what.

        An update that was left out has no loss, and is in no sum.
        """
        self.fetch()
        made = [update for update in self._updates if math.isfinite(update.loss)]
        self._interval = self._interval.with_updates(made)
        self._epoch = self._epoch.with_updates(made)
        self._updates = []

    def state_dict(self) -> dict[str, Any]:
        """The sums and the updates that are in none yet, as numbers. Synchronises."""
        self.fetch()
        return {
            "updates": [list(update) for update in self._updates],
            "interval": list(self._interval),
            "epoch": list(self._epoch),
            "left_out": self.left_out,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from such a state."""
        self._steps, self._updates = [], [Update(*update) for update in state["updates"]]
        self._interval, self._epoch = Sums(*state["interval"]), Sums(*state["epoch"])
        self.left_out = state["left_out"]


def fetched(steps: Sequence[Step]) -> list[Update]:
    """The numbers of at least one step, read from the device all at once."""
    losses = torch.stack([step.loss for step in steps]).float()
    correct = torch.stack([step.correct for step in steps]).float()
    numbers = zip(*torch.stack([losses, correct]).tolist(), steps, strict=True)
    return [Update(loss, int(right), step.patterns) for loss, right, step in numbers]
