"""Fine-tuning on one experience after another, with nothing against forgetting: the lower bound."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from clrun.seeds import generator
from clrun.strategies.feed import Feed
from clrun.strategies.shared_keys import SharedKeys
from clrun.strategies.step import START, Position, Step
from clrun.strategies.strategy import Parts
from clrun.strategies.updater import Place, Updater
from clrun.streams.experience import Experience


class Naive:
    """Minibatch descent on the current experience alone."""

    whole_stream: ClassVar[bool] = False
    uses_memory: ClassVar[bool] = False

    @dataclass(frozen=True, kw_only=True)
    class Config(SharedKeys):
        pass

    def __init__(self, config: SharedKeys, parts: Parts) -> None:
        self.config, self.seed = config, parts.seed
        self.updater = Updater(config, parts)

    def learn(self, experience: Experience, start: Position = START) -> Iterator[Step]:
        """Train on the experience's rows in a fresh order each epoch."""
        self.updater.begin(experience.index)
        feed = Feed(experience.train, self.updater.parts.device)
        for epoch in range(start.epoch, self.config.train_epochs):
            rng = generator(self.seed, "order", experience.index, epoch)
            order = torch.randperm(len(experience.train.y), generator=rng)
            minibatches = order.split(self.config.train_mb_size)
            rows = feed.epoch(minibatches)
            first = start.iteration if epoch == start.epoch else 0
            for iteration in range(first, len(minibatches)):
                place = Place(experience.index, Position(epoch, iteration), len(minibatches))
                yield self.updater.step(*rows(iteration), place)
        self.updater.end()

    def predict(self, x: Tensor) -> Tensor:
        """Logits of uint8 rows. [B, C, H, W] -> [B, num_classes]"""
        return self.updater.predict(x)

    def memory_rows(self) -> dict[str, Any]:
        """Nothing is stored."""
        return {"rows": 0, "bytes": 0, "per_class": {}, "per_experience": {}}

    def state_dict(self) -> dict[str, Any]:
        return self.updater.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.updater.load_state_dict(state)
