"""Minibatches of patterns on the device, in an order that is known for a whole epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from clrun.device.device import Device
from clrun.images.patterns import Patterns


class Feed:
    """Patterns to take minibatches from, held where the device reaches them fastest.

    Indices and labels go to the device once an epoch, so that no update waits for it.
    """

    def __init__(self, patterns: Patterns, device: Device) -> None:
        self._held, self._y, self._device = device.hold(patterns.x), patterns.y, device.torch

    def epoch(self, minibatches: Sequence[Tensor]) -> Callable[[int], Patterns]:
        """The patterns of minibatch number i, for the rows [n] of each minibatch of an epoch."""
        rows = torch.cat(list(minibatches))
        sizes = [len(minibatch) for minibatch in minibatches]
        places = rows.to(self._held.indices_on).split(sizes)
        labels = self._y[rows].to(self._device).split(sizes)
        return lambda i: Patterns(self._held.take(places[i]), labels[i])
