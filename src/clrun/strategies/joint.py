"""Training once on the whole stream at a time: the upper bound without a stream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from clrun.strategies.naive import Naive
from clrun.strategies.shared_keys import SharedKeys
from clrun.strategies.step import START, Position, Step
from clrun.strategies.strategy import Parts
from clrun.streams.experience import Experience


class Joint:
    """Naive training on the experiences merged into one."""

    whole_stream: ClassVar[bool] = True
    uses_memory: ClassVar[bool] = False

    @dataclass(frozen=True, kw_only=True)
    class Config(SharedKeys):
        pass

    def __init__(self, config: Config, parts: Parts) -> None:
        self._inner = Naive(Naive.Config(**vars(config)), parts)

    def learn(self, experience: Experience, start: Position = START) -> Iterator[Step]:
        """Train on the merged experience."""
        return self._inner.learn(experience, start)

    def predict(self, x: Tensor) -> Tensor:
        """Logits of uint8 rows. [B, C, H, W] -> [B, num_classes]"""
        return self._inner.predict(x)

    def memory_rows(self) -> dict[str, Any]:
        """Nothing is stored: all rows are there at once."""
        return self._inner.memory_rows()

    def state_dict(self) -> dict[str, Any]:
        return self._inner.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._inner.load_state_dict(state)
