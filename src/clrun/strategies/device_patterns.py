"""Minibatches of patterns on the device, in an order that is known for a whole epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

import torch
from torch import Tensor

from clrun.device.device import Device
from clrun.device.rows import DeviceRows, sent
from clrun.images.patterns import Patterns
from clrun.seeds import generator
from clrun.strategies.descent_keys import DescentKeys
from clrun.strategies.places import num_updates
from clrun.streams.experience import Experience


class DevicePatterns:
    """Patterns to take minibatches from, held where the device reaches them fastest.

    Indices and labels go to the device once an epoch, so that no update waits for it.
    """

    def __init__(self, patterns: Patterns, device: Device) -> None:
        self._x, self._y, self._device = device.hold(patterns.x), patterns.y, device.torch

    def minibatches(self, rows: Sequence[Tensor]) -> PatternMinibatches:
        """The patterns at `rows`, which are the indices [n] int64 of each minibatch."""
        joined = torch.cat(list(rows))
        sizes = [len(minibatch) for minibatch in rows]
        places = sent(joined, self._x.indices_on).split(sizes)
        labels = sent(self._y[joined], self._device).split(sizes)
        return PatternMinibatches(self._x, places, labels)


class PatternMinibatches:
    """The minibatches of one epoch; each is gathered when it is read."""

    def __init__(self, x: DeviceRows, places: Sequence[Tensor], labels: Sequence[Tensor]) -> None:
        self._x, self._places, self._labels = x, places, labels

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, iteration: int) -> Patterns[Tensor]:
        return Patterns(self._x.take(self._places[iteration]), self._labels[iteration])


def shuffled(
    experience: Experience, keys: DescentKeys, device: Device, seed: int
) -> Callable[[int], PatternMinibatches]:
    """A plan for `places`: all rows of the experience in minibatches, each epoch in a fresh order.

    The last minibatch of an epoch may be short, unless the keys say otherwise.
    """
    patterns = DevicePatterns(experience.train, device)

    def plan(epoch: int) -> PatternMinibatches:
        rows = len(experience.train.y)
        return patterns.minibatches(shuffled_rows(rows, keys, seed, experience.index, epoch))

    return plan


def shuffled_rows(
    rows: int,
    keys: DescentKeys,
    seed: int,
    experience: int,
    epoch: int,
    *,
    minibatch: int | None = None,
) -> Sequence[Tensor]:
    """The numbers of all rows of an experience, as the updates of one epoch have them.

    Each is [minibatch] int64, `train_mb_size` unless given, and the last may be shorter.
    """
    rng = generator(seed, "order", experience, epoch)
    found = torch.randperm(rows, generator=rng).split(minibatch or keys.train_mb_size)
    if keys.drop_last and len(found) > 1 and len(found[-1]) < len(found[0]):
        found = found[:-1]
    return [each for each in found for _ in range(keys.updates_per_minibatch)]


def shuffled_updates(keys: DescentKeys, rows: Iterable[int], seed: int) -> list[int]:
    """How many updates `places` yields with `shuffled`, for so many rows in each experience."""
    return [
        num_updates(keys, partial(shuffled_rows, count, keys, seed, index))
        for index, count in enumerate(rows)
    ]
