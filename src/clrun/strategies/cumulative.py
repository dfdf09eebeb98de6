"""Training on everything seen so far at every experience: the upper bound that stores all rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import torch

from clrun.config.moment import Moment
from clrun.images.patterns import Patterns, joined_patterns
from clrun.memory.counts import summary
from clrun.strategies.descent_keys import DescentKeys
from clrun.strategies.device_patterns import shuffled_updates
from clrun.strategies.naive import Naive
from clrun.strategies.step import START, Position, Step
from clrun.strategies.strategy import Ahead, Parts
from clrun.streams.experience import Experience


class Cumulative(Naive):
    """Naive training, each time on the union of the current and all earlier experiences."""

    @dataclass(frozen=True, kw_only=True)
    class Config(DescentKeys):
        def acts_from(self) -> Mapping[str, Moment]:
            return self.descent_acts_from()

    def __init__(self, config: DescentKeys, parts: Parts) -> None:
        super().__init__(config, parts)
        self._seen: list[Patterns] = []

    @classmethod
    def updates(cls, config: DescentKeys, ahead: Ahead) -> Sequence[int]:
        return shuffled_updates(config, accumulate(map(len, ahead.labels)), ahead.seed)

    def learn(self, experience: Experience, start: Position = START) -> Iterator[Step]:
        """Train on all rows so far, in a fresh order each epoch."""
        self._seen[experience.index :] = [experience.train]
        everything = joined_patterns(self._seen)
        yield from super().learn(replace(experience, train=everything), start)

    def memory_rows(self) -> dict[str, Any]:
        """Every row seen is kept."""
        y = (
            torch.cat([p.y for p in self._seen])
            if self._seen
            else torch.zeros(0, dtype=torch.int64)
        )
        sizes = torch.tensor([len(p.y) for p in self._seen], dtype=torch.int64)
        experience = torch.arange(len(sizes)).repeat_interleave(sizes)
        return summary(y, experience, sum(p.x.nbytes + p.y.nbytes for p in self._seen))

    def recall(self, past: Sequence[Experience]) -> None:
        """Take the rows of these again: a state with all of them would be the data once more."""
        self._seen = [experience.train for experience in past]
