"""Minibatches of current and remembered rows, and when the memory is offered rows.

What a method does with such a minibatch is its own business: `Replay`, `ERACE` and others differ in
a line or two of their loop.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from clrun.device.rows import sent
from clrun.images.patterns import Patterns
from clrun.memory.drawing import drawn_rows
from clrun.seeds import generator
from clrun.strategies.device_patterns import DevicePatterns, PatternMinibatches
from clrun.strategies.learner import Learner
from clrun.strategies.places import Minibatches, Place, is_last_pass
from clrun.strategies.rehearsal_plan import memory_share, online_rows, planned_rows
from clrun.strategies.replay_keys import ReplayKeys
from clrun.strategies.row_measures import replay_memory
from clrun.strategies.strategy import Parts
from clrun.streams.experience import Experience

log = logging.getLogger("clrun.note")


class Mixed(NamedTuple):
    """A minibatch on the device: current rows first, then remembered ones."""

    x: Tensor
    """[B, C, H, W] uint8"""
    y: Tensor
    """[B] int64"""
    replayed: int
    """how many of the last rows are remembered ones"""
    current: Tensor
    """[B - replayed] int64 on the CPU, the current rows' numbers in the experience"""


class Rehearsal:
    """A replay memory, and how its rows mix with those of the current experience.

    What policies and selection strategies ask of rows, their features or loss, `learner` answers.
    """

    def __init__(self, keys: ReplayKeys, parts: Parts, learner: Learner) -> None:
        self.keys, self.parts, self._learner = keys, parts, learner
        self.memory = replay_memory(keys.mem_size, parts, learner)
        self.is_online = keys.memory_update == "minibatch"
        self._drawn_keys: tuple[tuple[int, int], Tensor] | None = None

    def plan(self, experience: Experience) -> Callable[[int], Minibatches[Mixed]]:
        """The minibatches of each epoch of an experience, for `places`."""
        device = self.parts.device
        current = DevicePatterns(experience.train, device)
        if self.is_online:
            return lambda epoch: self._online(experience, epoch, current)
        held = self.memory.exemplars
        remembered = DevicePatterns(Patterns(held.x, held.y), device)
        return lambda epoch: self._planned(experience, epoch, current, remembered)

    def after_update(self, experience: Experience, place: Place, rows: Mixed) -> None:
        """Offer the current rows after the last of their first updates, where the memory is online.

        Rows of an update that was left out would have it left out again when they come back.
        """
        is_due = place.epoch == 0 and is_last_pass(place, self.keys.updates_per_minibatch)
        if self.is_online and is_due and not self._learner.left_out:
            self.offer(experience, rows.current)

    def after_experience(self, experience: Experience) -> None:
        """Offer all rows of the experience, unless that was done row by row."""
        if not self.is_online:
            self.memory.offer(experience.train, experience.index, self._learner.extract)
        if self.memory.selection.ranks_rows:
            self._note_lost_classes(experience)

    def _note_lost_classes(self, experience: Experience) -> None:
        """Say which classes a ranking left without a row, though there was room for each."""
        of, labels = self.memory.column("experience"), self.memory.column("y")
        kept = labels[of == experience.index]
        lost = sorted(set(experience.train.y.tolist()) - set(kept.tolist()))
        has_room = len(kept) >= len(set(experience.train.y.tolist()))
        if lost and has_room:
            log.warning(
                "the selection keeps no row of %s %s in experience %d. "
                "storage_policy=class_balanced keeps rows of each class.",
                "class" if len(lost) == 1 else "classes",
                ", ".join(map(str, lost)),
                experience.index,
            )

    def offer(self, experience: Experience, rows: Tensor) -> None:
        """Offer rows of the experience to the memory, each with the one key it gets in this run."""
        x, y = experience.train
        keys = self._keys(experience)[rows]
        patterns = Patterns(x.index_select(0, rows), y[rows])
        self.memory.offer(patterns, experience.index, self._learner.extract, keys)

    def _keys(self, experience: Experience) -> Tensor:
        """The keys of all rows of the experience; drawn once for all of its updates."""
        of = experience.index, len(experience.train.y)
        if self._drawn_keys is None or self._drawn_keys[0] != of:
            rng = generator(self.parts.seed, "memory", experience.index)
            self._drawn_keys = of, torch.rand(of[1], generator=rng, dtype=torch.float64)
        return self._drawn_keys[1]

    def _planned(
        self,
        experience: Experience,
        epoch: int,
        current: DevicePatterns,
        remembered: DevicePatterns,
    ) -> Minibatches[Mixed]:
        """An epoch beside a memory that does not change: known before it starts."""
        y, held = experience.train.y, self.memory.exemplars
        plan = planned_rows(self.keys, y, held, self.parts.seed, experience.index, epoch)
        old = remembered.minibatches(plan.memory)
        new = current.minibatches(plan.current)
        return MixedMinibatches(plan.current, new, old.__getitem__)

    def _online(
        self, experience: Experience, epoch: int, current: DevicePatterns
    ) -> Minibatches[Mixed]:
        """An epoch of current rows; the memory changes on the way, so its rows are drawn there."""
        count = len(experience.train.y)
        rows = online_rows(self.keys, count, self.parts.seed, experience.index, epoch)
        drawn = self._drawn(experience, epoch)
        return MixedMinibatches(rows, current.minibatches(rows), drawn)

    def _drawn(self, experience: Experience, epoch: int) -> Callable[[int], Patterns[Tensor]]:
        """Rows drawn from the memory as it is when an update comes; none while it is empty."""

        def drawn(iteration: int) -> Patterns[Tensor]:
            device, keys = self.parts.device.torch, self.keys
            rng = generator(self.parts.seed, "replayed rows", experience.index, epoch, iteration)
            rows = drawn_rows(self.memory, keys.balance, memory_share(keys), rng)
            return Patterns(sent(rows.x, device), sent(rows.y, device))

        return drawn


class MixedMinibatches:
    """The minibatches of one epoch; the remembered rows of each are asked for when it is read."""

    def __init__(
        self,
        rows: Sequence[Tensor],
        current: PatternMinibatches,
        remembered: Callable[[int], Patterns[Tensor]],
    ) -> None:
        self._rows, self._current, self._remembered = rows, current, remembered

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, iteration: int) -> Mixed:
        rows, (x, y) = self._rows[iteration], self._current[iteration]
        old = self._remembered(iteration)
        if not len(old.y):
            return Mixed(x, y, 0, rows)
        return Mixed(torch.cat([x, old.x]), torch.cat([y, old.y]), len(old.y), rows)
