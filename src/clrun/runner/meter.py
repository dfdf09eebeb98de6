"""Training loss and accuracy, left on the device until they are told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from clrun.strategies.step import Step


class Meter:
    """Mean loss and accuracy of the updates since they were last read, and of the epoch.

    Updates are only noted, so they cost nothing until they are read.
    """

    def __init__(self) -> None:
        self._unread: list[Step] = []
        self._interval = self._epoch = NOTHING

    def add(self, step: Step) -> None:
        """Count an update. Does not synchronise."""
        self._unread.append(step)

    def read_interval(self) -> tuple[float, float]:
        """Loss and accuracy since the last reading. Synchronises."""
        self._settle()
        told, self._interval = self._interval.means(), NOTHING
        return told

    def read_epoch(self) -> tuple[float, float]:
        """Loss and accuracy of the epoch, which ends here. Synchronises."""
        self._settle()
        told, self._epoch = self._epoch.means(), NOTHING
        return told

    def _settle(self) -> None:
        if self._unread:
            read = Sums.of(self._unread)
            self._interval, self._epoch = self._interval + read, self._epoch + read
            self._unread = []


class Sums(NamedTuple):
    """Sums over patterns."""

    loss: float
    correct: int
    patterns: int

    @classmethod
    def of(cls, steps: Sequence[Step]) -> Sums:
        """Of some updates: their tensors are read at once."""
        numbers = [torch.stack([step.loss for step in steps]).float()]
        numbers.append(torch.stack([step.correct for step in steps]).float())
        losses, correct = torch.stack(numbers).tolist()
        patterns = [step.patterns for step in steps]
        loss = sum(loss * count for loss, count in zip(losses, patterns, strict=True))
        return cls(loss, int(sum(correct)), sum(patterns))

    def __add__(self, other: Sums) -> Sums:  # type: ignore[override]  # of a tuple: joins
        loss, correct, patterns = other
        return Sums(self.loss + loss, self.correct + correct, self.patterns + patterns)

    def means(self) -> tuple[float, float]:
        """(loss, accuracy) a pattern."""
        return self.loss / self.patterns, self.correct / self.patterns


NOTHING = Sums(0.0, 0, 0)
