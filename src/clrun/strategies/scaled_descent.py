"""Gradients of a loss that is scaled up so that 16 bits can hold them, and the step that follows.

In other precisions the scale is 1 and nothing is done for it. An update may ask for the gradients
of several losses before its one step.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.optim import Optimizer

from clrun.strategies.left_out import gradients_are_finite


class ScaledDescent:
    """A gradient scaler, which wants to be updated between any two times it unscales gradients."""

    def __init__(self, scaler: torch.amp.GradScaler) -> None:
        self.scaler = scaler
        self.is_scaled: bool = scaler.is_enabled()
        self._unscaled = 0  # gradients that were unscaled since the scaler's last update

    def backward(self, loss: Tensor, optimizer: Optimizer) -> None:
        """Give the optimizer's parameters the gradients of a loss [], and no others."""
        optimizer.zero_grad(set_to_none=True)
        if not self.is_scaled:
            loss.backward()
            return
        if self._unscaled:
            self.scaler.update()
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(optimizer)
        self._unscaled += 1

    def step(self, optimizer: Optimizer) -> None:
        """Let the optimizer take its step, unless gradients overflowed."""
        if not self.is_scaled:
            optimizer.step()
            return
        if self._unscaled > 1 and not gradients_are_finite(optimizer):
            optimizer.zero_grad(set_to_none=True)  # an earlier one overflowed, and is in them
        self.scaler.step(optimizer)
        self.scaler.update()
        self._unscaled = 0

    def leave_out(self, optimizer: Optimizer) -> None:
        """Forget the gradients, with which no step is taken; the scale stays as it was."""
        optimizer.zero_grad(set_to_none=True)
        if self._unscaled:
            before = self.scaler.state_dict()
            self.scaler.update()  # it has seen these gradients, and must not be asked for them
            self.scaler.load_state_dict(before)
            self._unscaled = 0
