"""What plugins add to the loss, and how large that was on average: one always 0 does nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from clrun.strategies.plugin import Plugin, Update


class Penalties:
    """The penalties of an experience's updates, summed up for each kind of plugin."""

    def __init__(self, plugins: Sequence[Plugin]) -> None:
        self._plugins = plugins
        self._weighed: list[tuple[str, Tensor]] = []  # those of the update in progress
        self.begin()

    def begin(self) -> None:
        """Start an experience."""
        self._sums: dict[str, Tensor] = {}
        self._updates = 0

    def added(self, loss: Tensor, update: Update) -> Tensor:
        """The loss with all penalties; they count once the update is made. -> []"""
        self._weighed = []
        for plugin in self._plugins:
            penalty = plugin.penalty(update)
            if penalty is not None:
                loss = loss + penalty
                self._weighed.append((type(plugin).__name__, penalty.detach()))
        return loss

    def made(self) -> None:
        """Count those of the update that was made."""
        for name, penalty in self._weighed:
            known = self._sums.get(name)
            self._sums[name] = penalty if known is None else known + penalty
        self._weighed = []
        self._updates += 1

    def means(self) -> dict[str, float | None]:
        """The mean penalty of each kind of plugin in the experience; None where it had none, or
        what JSON has no word for. Synchronises."""
        count = max(self._updates, 1)
        means: dict[str, float | None] = dict.fromkeys(type(p).__name__ for p in self._plugins)
        for name, total in self._sums.items():
            mean = total.item() / count
            means[name] = mean if math.isfinite(mean) else None
        return means

    def state_dict(self) -> dict[str, Any]:
        return {"sums": dict(self._sums), "updates": self._updates}

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        self._sums = {name: total.to(device) for name, total in state["sums"].items()}
        self._updates = state["updates"]
