"""Experience replay: a small memory of past rows, mixed into every minibatch.

Chaudhry et al. 2019, "On Tiny Episodic Memories in Continual Learning",
https://arxiv.org/abs/1902.10486. Which rows are kept is the storage policy's and the selection
strategy's business; how rows mix is `memory.minibatches`.

`memory_update: experience` stores rows when an experience ends, so its own rows are not replayed
during it; `minibatch` offers every row right after its first update, as online methods do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from clrun.config.bounds import Count
from clrun.images.patterns import Patterns
from clrun.memory.composition import Composition
from clrun.memory.minibatches import EpochPlan, draw, plan_epoch
from clrun.memory.replay_memory import ReplayMemory
from clrun.profiling.spans import span
from clrun.seeds import generator
from clrun.strategies.feed import Feed
from clrun.strategies.shared_keys import SharedKeys
from clrun.strategies.step import START, Position, Step
from clrun.strategies.strategy import Parts
from clrun.strategies.updater import Place, Updater
from clrun.streams.experience import Experience


class Replay:
    """Minibatch descent on current and remembered rows together."""

    whole_stream: ClassVar[bool] = False
    uses_memory: ClassVar[bool] = True

    @dataclass(frozen=True, kw_only=True)
    class Config(SharedKeys):
        mem_size: Count
        mix: Literal["split", "add"]
        memory_mb_size: Count | None
        balance: Literal["experience", "class", "none"]
        epoch_length: Literal["current", "longest"]
        memory_update: Literal["experience", "minibatch"]

        def __post_init__(self) -> None:
            Composition.of(self)
            if self.mix == "split" and self.train_mb_size < 2:
                raise ValueError(
                    f"train_mb_size={self.train_mb_size}: cannot hold a new and a replayed row. "
                    "Use at least 2, or mix=add."
                )
            if self.memory_update == "minibatch" and self.epoch_length == "longest":
                raise ValueError(
                    "epoch_length=longest: the memory has no length of its own with "
                    "strategy.memory_update=minibatch. Use epoch_length=current."
                )

    def __init__(self, config: Config, parts: Parts) -> None:
        self.config, self.seed = config, parts.seed
        self.updater = Updater(config, parts)
        self.memory = ReplayMemory(
            config.mem_size, parts.storage_policy, parts.selection, parts.seed
        )

    def learn(self, experience: Experience, start: Position = START) -> Iterator[Step]:
        """Train on the experience mixed with the memory, and let the memory choose from it."""
        device, held = self.updater.parts.device, self.memory.exemplars
        current = Feed(experience.train, device)
        if self.config.memory_update == "minibatch":
            learning = partial(self._online, experience, current)
        else:
            remembered = Feed(Patterns(held.x, held.y), device)
            learning = partial(self._planned, experience, current, remembered)
        self.updater.begin(experience.index)
        for epoch in range(start.epoch, self.config.train_epochs):
            first = start.iteration if epoch == start.epoch else 0
            yield from learning(Position(epoch, first))
        self.updater.end()
        if self.config.memory_update == "experience":
            self._store(experience, torch.arange(len(experience.train.y)))

    def _planned(
        self, experience: Experience, current: Feed, remembered: Feed, start: Position
    ) -> Iterator[Step]:
        """The rest of an epoch beside a memory that does not change: known before it starts."""
        plan = self._plan(experience, start.epoch)
        new, old = current.epoch(plan.current), remembered.epoch(plan.memory)
        for iteration in range(start.iteration, len(plan)):
            place = Place(experience.index, Position(start.epoch, iteration), len(plan))
            replayed = len(plan.memory[iteration])
            rows = _joined(new(iteration), old(iteration)) if replayed else new(iteration)
            yield self.updater.step(*rows, place, replayed=replayed)

    def _online(self, experience: Experience, current: Feed, start: Position) -> Iterator[Step]:
        """The rest of an epoch whose rows are offered to the memory after their first update."""
        minibatches = self._online_minibatches(experience, start.epoch)
        new = current.epoch(minibatches)
        for iteration in range(start.iteration, len(minibatches)):
            place = Place(experience.index, Position(start.epoch, iteration), len(minibatches))
            drawn = self._drawn(place)
            rows = new(iteration)
            if len(drawn):
                rows = _joined(rows, self._remembered(drawn))
            step = self.updater.step(*rows, place, replayed=len(drawn))
            if start.epoch == 0:
                self._store(experience, minibatches[iteration])
            yield step

    def _plan(self, experience: Experience, epoch: int) -> EpochPlan:
        """The epoch's minibatches of current and memory rows."""
        held, composition = self.memory.exemplars, Composition.of(self.config)
        rng = generator(self.seed, "order", experience.index, epoch)
        with span("order"):
            return plan_epoch(composition, experience.train.y, held.y, held.experience, rng)

    def _online_minibatches(self, experience: Experience, epoch: int) -> tuple[Tensor, ...]:
        """Current rows only: the memory changes as they pass, so its rows are drawn on the way."""
        rng = generator(self.seed, "order", experience.index, epoch)
        order = torch.randperm(len(experience.train.y), generator=rng)
        share = self._memory_share() if self.config.mix == "split" else 0
        return order.split(self.config.train_mb_size - share)

    def _drawn(self, place: Place) -> Tensor:
        """Rows drawn from the memory as it is now, none while it is empty."""
        held = self.memory.exemplars
        groups = {"experience": held.experience, "class": held.y, "none": None}[self.config.balance]
        rng = generator(self.seed, "replayed rows", place.experience, *place.position)
        return draw(groups, len(self.memory), self._memory_share(), rng)

    def _memory_share(self) -> int:
        """Memory rows in a minibatch whose memory changes as it goes."""
        c = self.config
        default = c.train_mb_size // 2 if c.mix == "split" else c.train_mb_size
        return c.memory_mb_size or default

    def _remembered(self, rows: Tensor) -> Patterns:
        """Rows of the memory as it is now, on the device."""
        held, device = self.memory.exemplars, self.updater.parts.device.torch
        x, y = held.x.index_select(0, rows), held.y.index_select(0, rows)
        return Patterns(x.to(device, non_blocking=True), y.to(device, non_blocking=True))

    def _store(self, experience: Experience, rows: Tensor) -> None:
        """Offer rows of the experience to the memory, each with the one key it gets in this run."""
        x, y = experience.train
        rng = generator(self.seed, "memory", experience.index)
        keys = torch.rand(len(y), generator=rng, dtype=torch.float64)
        if len(rows) < len(y):  # all of a large experience would be a large copy
            x, y, keys = x.index_select(0, rows), y[rows], keys[rows]
        self.memory.offer(Patterns(x, y), experience.index, self.updater.extract, keys)

    def predict(self, x: Tensor) -> Tensor:
        """Logits of uint8 rows. [B, C, H, W] -> [B, num_classes]"""
        return self.updater.predict(x)

    def memory_rows(self) -> dict[str, Any]:
        return self.memory.summary()

    def state_dict(self) -> dict[str, Any]:
        return {**self.updater.state_dict(), "memory": self.memory.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.memory.load_state_dict(state["memory"])
        self.updater.load_state_dict(state)


def _joined(current: Patterns, remembered: Patterns) -> Patterns:
    """Current rows first, then remembered ones."""
    return Patterns(torch.cat([current.x, remembered.x]), torch.cat([current.y, remembered.y]))
