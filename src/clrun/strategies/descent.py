"""A strategy with one learner: what it answers, saves and has cost is its learner's."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from clrun.device.rows import Rows
from clrun.strategies.learner import Learner
from clrun.strategies.strategy import Strategy


class DescentStrategy(Strategy):
    """What strategies share that learn the whole model by descent; `learn` is their own."""

    learner: Learner

    @property
    def train_macs(self) -> int | None:  # type: ignore[override]  # others count it themselves
        """Multiply-accumulates of all passes of the model in training."""
        return self.learner.train_macs

    def predict(self, x: Rows) -> Tensor:
        """Logits of uint8 rows. [B, C, H, W] -> [B, num_classes]"""
        return self.learner.predict(x)

    def state_dict(self) -> dict[str, Any]:
        return self.learner.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.learner.load_state_dict(state)
