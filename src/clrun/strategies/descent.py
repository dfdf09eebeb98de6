"""Strategies with one learner: what they answer, save and have cost is their learner's."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn

from clrun.device.rows import Rows
from clrun.memory.replay_memory import ReplayMemory
from clrun.strategies.learner import Learner
from clrun.strategies.separate_heads import require_separable
from clrun.strategies.strategy import Strategy
from clrun.streams.experience import StreamShape


class DescentStrategy(Strategy):
    """What strategies share that learn the whole model by descent; `learn` is their own."""

    learner: Learner

    @staticmethod
    def check(config: Any, model: nn.Module, shape: StreamShape) -> None:
        """Refuse a model that has no separate heads to offer where `active` asks for them.

        Raises:
            ConfigError: see `require_separable`.
        """
        require_separable(config, model, shape.num_classes)

    @property
    def train_macs(self) -> int | None:  # type: ignore[override]  # others count it themselves
        """Multiply-accumulates of all passes of the model in training."""
        return self.learner.train_macs

    def predict(self, x: Rows) -> Tensor:
        """Logits of uint8 rows. [B, C, H, W] -> [B, num_classes]"""
        return self.learner.predict(x)

    def vitals(self) -> dict[str, Any]:
        return self.learner.vitals()

    def state_dict(self) -> dict[str, Any]:
        return self.learner.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.learner.load_state_dict(state)


class MemoryStrategy(DescentStrategy):
    """What those of them share that hold past rows in a replay memory."""

    uses_memory: ClassVar[bool] = True
    memory: ReplayMemory

    def memory_rows(self) -> dict[str, Any]:
        """How much is stored; bytes count every column."""
        return self.memory.summary()

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "memory": self.memory.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.memory.load_state_dict(state["memory"])
        super().load_state_dict(state)
