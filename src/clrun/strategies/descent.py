"""Strategies with one learner: what they answer, save and have cost is their learner's."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from clrun.device.rows import Rows
from clrun.memory.counts import summary
from clrun.memory.replay_memory import ReplayMemory
from clrun.strategies.head_correction import require_correctable
from clrun.strategies.learner import Learner
from clrun.strategies.separate_heads import require_separable
from clrun.strategies.strategy import Strategy
from clrun.streams.experience import Experience, StreamShape


class DescentStrategy(Strategy):
    """What strategies share that learn the whole model by descent; `learn` is their own."""

    learner: Learner

    @staticmethod
    def check(config: Any, model: nn.Module, shape: StreamShape) -> None:
        """Refuse a model that has no separate heads to offer where `active` asks for them.

        Raises:
            ConfigError: see `require_separable` and `require_correctable`.
        """
        require_separable(config, model, shape.num_classes)
        require_correctable(config, model)

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

    def without_held_out(self, experience: Experience) -> Experience:
        """The experience as it is learnt: without the rows that `head_correction=bic` holds out.

        A `learn` calls it first; its `Config` has `fits_bic` then.
        """
        return self.learner.correction.left_to_learn(experience)

    def memory_rows(self) -> dict[str, Any]:
        """How much is stored, with what is held out; bytes count every column."""
        held_out, held = self.learner.correction.held_out.rows, self.memory
        if not len(held_out):
            return self.memory.summary()
        y, experience = (
            torch.cat([held.column(column), getattr(held_out, column)])
            for column in ("y", "experience")
        )
        return summary(y, experience, held.nbytes + held_out.nbytes)

    def state_dict(self) -> dict[str, Any]:
        memory: dict[str, Any] = dict(self.memory.state_dict())
        if len(self.learner.correction.held_out.rows):
            memory["held out"] = self.learner.correction.rows_state()
        return {**super().state_dict(), "memory": memory}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        memory = dict(state["memory"])
        held_out = memory.pop("held out", None)
        if held_out is not None:
            self.learner.correction.load_rows(held_out)
        self.memory.load_state_dict(memory)
        super().load_state_dict(state)
