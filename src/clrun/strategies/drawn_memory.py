"""A replay memory that is drawn from uniformly, and when it is offered rows.

For methods that do something else with remembered rows than to mix them into a minibatch, which is
what `Rehearsal` does.
"""

from __future__ import annotations

import torch
from torch import Tensor

from clrun.images.patterns import Patterns
from clrun.memory.drawing import all_past, drawn_past, drawn_rows
from clrun.memory.table import Table
from clrun.strategies.drawn_keys import DrawnKeys
from clrun.strategies.learner import Learner
from clrun.strategies.places import Place, is_last_pass
from clrun.strategies.row_measures import replay_memory
from clrun.strategies.strategy import Parts
from clrun.streams.experience import Experience


class DrawnMemory:
    """Past rows of a strategy, on the CPU; those drawn for an update go to the device."""

    def __init__(self, keys: DrawnKeys, parts: Parts, learner: Learner) -> None:
        self.parts, self._learner = parts, learner
        self.memory = replay_memory(keys.mem_size, parts, learner)
        self.is_online = keys.memory_update == "minibatch"
        self._passes = keys.updates_per_minibatch

    def drawn(self, size: int, place: Place, *, of_past: bool = False) -> Table:
        """As many rows, each at most once, or all where there are fewer; on the device.

        `of_past`: none of the experience in progress.
        """
        rng, memory = place.generator(self.parts.seed, "replayed rows"), self.memory
        size = min(size, len(memory))
        if of_past:
            draw = drawn_past if self.is_online else all_past
            rows = draw(memory, place.experience, size, rng)
        elif self.is_online:
            rows = drawn_rows(memory, "none", size, rng)
        else:
            rows = memory.take(torch.randperm(len(memory), generator=rng)[:size])
        return rows.to(self.parts.device.torch)

    def after_update(self, rows: Patterns[Tensor], place: Place) -> None:
        """Offer the rows of an update in the first epoch, after the last one in which they are
        current, where the memory is online.

        Rows of an update that was left out would have it left out again when they come back.
        """
        is_due = place.epoch == 0 and is_last_pass(place, self._passes)
        if self.is_online and is_due and not self._learner.left_out:
            rng = place.generator(self.parts.seed, "memory")
            keys = torch.rand(len(rows.y), generator=rng, dtype=torch.float64)
            patterns = Patterns(rows.x.cpu(), rows.y.cpu())
            self.memory.offer(patterns, place.experience, self._learner.extract, keys)

    def after_experience(self, experience: Experience) -> None:
        """Offer all rows of the experience, unless that was done as they passed."""
        if not self.is_online:
            self.memory.offer(experience.train, experience.index, self._learner.extract)
