"""Minibatches of new and stored latents, an epoch at once where the device reaches them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from clrun.device.device import Device
from clrun.device.rows import has_room, sent
from clrun.memory.latent_memory import LatentMemory
from clrun.memory.minibatches import EpochPlan
from clrun.memory.row_order import empty_rows, take_rows

PIECE = 64
"""Stored rows decoded at once on their way to the device."""


@dataclass(frozen=True)
class StoredRows:
    """Rows of a memory by their numbers, as latents on the device."""

    take: Callable[[Tensor], Tensor]
    """numbers [n] int64 -> latents [n, C, ...] float32"""
    numbers_on: torch.device
    """where `take` wants its numbers"""


def stored_rows(memory: LatentMemory, device: Device) -> StoredRows:
    """The rows of a memory, for as long as it stays as it is: on a CUDA device where they fit
    there, else decoded on the host and sent for each minibatch."""
    there, count = device.torch, len(memory)
    on_host = StoredRows(lambda n: device.put(memory.latents(n)), torch.device("cpu"))
    if not count:
        return on_host
    first = memory.latents(torch.arange(1))
    if not has_room(count * first.nbytes, there):
        return on_host
    held = empty_rows(count, first.shape[1:], first.dtype, first, there)
    for numbers in torch.arange(count).split(PIECE):
        held[int(numbers[0]) : int(numbers[-1]) + 1] = sent(memory.latents(numbers), there)
    return StoredRows(lambda n: device.put(take_rows(held, n)), there)


class LatentMinibatch(NamedTuple):
    """What one minibatch is made of: current rows first, then stored ones."""

    current: Tensor
    """[b] int64, numbers of rows of the experience"""
    memory: Tensor
    """[m] int64, numbers of rows of the memory"""
    y: Tensor
    """[b + m] int64, their labels, on the device"""


class LatentMinibatches:
    """Those of one epoch, whose numbers and labels go to the device at once."""

    def __init__(
        self,
        plan: EpochPlan,
        y: Tensor,
        memory_y: Tensor,
        device: torch.device,
        *,
        current_on: torch.device,
        memory_on: torch.device,
    ) -> None:
        """`y` and `memory_y` are the labels of all rows; numbers go where they are wanted."""
        sizes = [len(rows) for rows in plan.current]
        replayed = [len(rows) for rows in plan.memory]
        current, memory = torch.cat(plan.current), torch.cat(plan.memory)
        new = y[current].split(sizes)
        old = memory_y[memory].split(replayed)
        labels = torch.cat([part for both in zip(new, old, strict=True) for part in both])
        self._labels = sent(labels, device).split(
            [n + m for n, m in zip(sizes, replayed, strict=True)]
        )
        self._current = sent(current, current_on).split(sizes)
        self._memory = sent(memory, memory_on).split(replayed)

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, iteration: int) -> LatentMinibatch:
        return LatentMinibatch(
            self._current[iteration], self._memory[iteration], self._labels[iteration]
        )
