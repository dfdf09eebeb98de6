"""Training loss and accuracy, added up on the device and read only when they are told."""

from __future__ import annotations

import torch
from torch import Tensor

from clrun.strategies.step import Step


class Meter:
    """Mean loss and accuracy of the updates since they were last read, and of the epoch."""

    def __init__(self) -> None:
        self._interval = Sums()
        self._epoch = Sums()

    def add(self, step: Step) -> None:
        """Count an update. Does not synchronise."""
        self._interval.add(step)
        self._epoch.add(step)

    def read_interval(self) -> tuple[float, float]:
        """Loss and accuracy since the last reading. Synchronises."""
        told, self._interval = self._interval.means(), Sums()
        return told

    def read_epoch(self) -> tuple[float, float]:
        """Loss and accuracy of the epoch, which ends here. Synchronises."""
        told, self._epoch = self._epoch.means(), Sums()
        return told


class Sums:
    """Sums over patterns, on the device the updates ran on."""

    def __init__(self) -> None:
        self._loss: Tensor | float = 0.0
        self._correct: Tensor | int = 0
        self._patterns = 0

    def add(self, step: Step) -> None:
        self._loss = self._loss + step.loss.float() * step.patterns
        self._correct = self._correct + step.correct
        self._patterns += step.patterns

    def means(self) -> tuple[float, float]:
        """(loss, accuracy) a pattern."""
        told = torch.stack([torch.as_tensor(self._loss), torch.as_tensor(self._correct).float()])
        loss, correct = told.tolist()  # one synchronisation for both
        return loss / self._patterns, correct / self._patterns
