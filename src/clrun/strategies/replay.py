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
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from clrun.config.bounds import Count
from clrun.memory.described import described
from clrun.memory.minibatches import Composition, EpochPlan, Minibatch, draw, plan_epoch
from clrun.memory.replay_memory import ReplayMemory
from clrun.seeds import generator
from clrun.strategies.shared_keys import SharedKeys
from clrun.strategies.step import START, Position, Step
from clrun.strategies.strategy import Parts
from clrun.strategies.updater import Place, Updater
from clrun.streams.experience import Experience, Patterns


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
            size = self.memory_mb_size
            if self.mix == "split" and size is not None and size >= self.train_mb_size:
                raise ValueError(
                    f"memory_mb_size={size}: leaves no row of strategy.train_mb_size="
                    f"{self.train_mb_size} for the current experience. Use fewer, or mix=add."
                )
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
        online = self.config.memory_update == "minibatch"
        self.updater.begin(experience.index)
        for epoch in range(start.epoch, self.config.train_epochs):
            plan = self._online_plan(experience, epoch) if online else self._plan(experience, epoch)
            first = start.iteration if epoch == start.epoch else 0
            for iteration in range(first, len(plan)):
                place = Place(experience.index, Position(epoch, iteration), len(plan))
                minibatch = plan[iteration]
                if online:
                    minibatch = self._with_memory(minibatch, place)
                x, y = self._rows(experience.train, minibatch)
                step = self.updater.step(x, y, place, replayed=len(minibatch.memory))
                if online and epoch == 0:
                    self._store(experience, minibatch.current)
                yield step
        self.updater.end()
        if not online:
            self._store(experience, torch.arange(len(experience.train.y)))

    def _plan(self, experience: Experience, epoch: int) -> EpochPlan:
        """The epoch's minibatches of current and memory rows."""
        c, held = self.config, self.memory.exemplars
        composition = Composition(
            train_mb_size=c.train_mb_size,
            memory_mb_size=c.memory_mb_size,
            mix=c.mix,
            balance=c.balance,
            epoch_length=c.epoch_length,
        )
        rng = generator(self.seed, "order", experience.index, epoch)
        return plan_epoch(composition, experience.train.y, held.y, held.experience, rng)

    def _online_plan(self, experience: Experience, epoch: int) -> list[Minibatch]:
        """Current rows only: the memory changes as they pass, so its rows are drawn on the way."""
        rng = generator(self.seed, "order", experience.index, epoch)
        order = torch.randperm(len(experience.train.y), generator=rng)
        current = self.config.train_mb_size - (
            self._memory_share() if self.config.mix == "split" else 0
        )
        none = torch.zeros(0, dtype=torch.int64)
        return [Minibatch(rows, none) for rows in order.split(current)]

    def _with_memory(self, minibatch: Minibatch, place: Place) -> Minibatch:
        """The minibatch with rows drawn from the memory as it is now."""
        held = self.memory.exemplars
        groups = {"experience": held.experience, "class": held.y, "none": None}[self.config.balance]
        rng = generator(self.seed, "replayed rows", place.experience, *place.position)
        size = self._memory_share() if len(self.memory) else 0
        return Minibatch(minibatch.current, draw(groups, len(self.memory), size, rng))

    def _memory_share(self) -> int:
        """Memory rows in a minibatch whose memory changes as it goes."""
        c = self.config
        default = c.train_mb_size // 2 if c.mix == "split" else c.train_mb_size
        return c.memory_mb_size or default

    def _rows(self, current: Patterns, minibatch: Minibatch) -> Patterns:
        """Current rows first, then remembered ones."""
        x, y = current.x.index_select(0, minibatch.current), current.y[minibatch.current]
        if len(minibatch.memory) == 0:
            return Patterns(x, y)
        held = self.memory.exemplars
        return Patterns(
            torch.cat([x, held.x.index_select(0, minibatch.memory)]),
            torch.cat([y, held.y[minibatch.memory]]),
        )

    def _store(self, experience: Experience, rows: Tensor) -> None:
        """Offer rows of the experience to the memory, each with the one key it gets in this run."""
        x, y = experience.train
        rng = generator(self.seed, "memory", experience.index)
        keys = torch.rand(len(y), generator=rng, dtype=torch.float64)
        self.memory.offer(
            Patterns(x.index_select(0, rows), y[rows]),
            experience.index,
            self.updater.extract,
            keys[rows],
        )

    def predict(self, x: Tensor) -> Tensor:
        """Logits of uint8 rows. [B, C, H, W] -> [B, num_classes]"""
        return self.updater.predict(x)

    def memory_rows(self) -> dict[str, Any]:
        return described(self.memory)

    def state_dict(self) -> dict[str, Any]:
        return {**self.updater.state_dict(), "memory": self.memory.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.memory.load_state_dict(state["memory"])
        self.updater.load_state_dict(state)
