"""Multiply-accumulates of the passes that a learner makes, counted as they are made."""

from __future__ import annotations

from torch import Tensor, nn

from clrun.models.macs import forward_macs


class PassMacs:
    """A sum, None where nobody counts. What a forward pass takes is found out at its first one."""

    def __init__(self, *, counts: bool) -> None:
        self.total: int | None = 0 if counts else None
        self._forward: dict[int, int] = {}  # of one pattern, by a model's id

    def add(self, patterns: int, macs: int | None) -> None:
        """Count so many patterns, each of which took `macs`; None: nobody knows."""
        if self.total is not None and macs is not None:
            self.total += patterns * macs

    def add_forward(self, model: nn.Module, inputs: Tensor) -> None:
        """Count a forward pass of these inputs [B, ...], without a backward one."""
        if self.total is not None and len(inputs):
            if id(model) not in self._forward:
                self._forward[id(model)] = forward_macs(model, inputs.shape[1:])
            self.add(len(inputs), self._forward[id(model)])
