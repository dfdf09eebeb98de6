"""No weight follows a loss that is NaN or infinite."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.optim import Optimizer

from clrun.errors import NonFiniteLoss
from clrun.fast.sgd import SGD
from clrun.strategies.places import Place


class LossGuard:
    """Looks at the loss of each update before the optimizer's step.

    On the CPU a loss that is not finite is an error at once. A CUDA device is not waited for: there
    the loss raises a flag in the device's memory, and the optimizer's own kernels then leave all
    weights as they are, in this update and in all that follow, until somebody reads the losses and
    finds the first bad one (`runner.recorder`). A gradient scaler leaves out such an update anyway.
    """

    def __init__(self, device: torch.device) -> None:
        self.flag = torch.zeros((), device=device)
        """[] float32: 1 after a loss that was not finite, where the host does not look at it"""
        self._one = torch.ones((), device=device)
        self._defers = False

    def watch(self, optimizer: Optimizer, *, scaled: bool) -> None:
        """Guard the weights of this optimizer from now on; `scaled` if it has a gradient scaler."""
        self._defers = self.flag.is_cuda and (scaled or self.halts(optimizer))

    def halts(self, optimizer: Optimizer) -> bool:
        """Let the flag halt this optimizer; False where its kernels look at no such flag."""
        if isinstance(optimizer, SGD):
            optimizer.halted = self.flag
            return True
        if getattr(optimizer, "_step_supports_amp_scaling", False):  # fused: as for a scaler
            vars(optimizer)["found_inf"] = self.flag
            return True
        return False

    def check(self, loss: Tensor, place: Place) -> None:
        """Look at a detached loss [] whose gradients are there already.

        Raises:
            NonFiniteLoss: it is NaN or infinite, and can be looked at without waiting.
        """
        if self._defers:
            self.mark(loss)
        elif not math.isfinite(value := loss.item()):
            raise NonFiniteLoss(value, place.experience, place.epoch, place.iteration)

    def mark(self, loss: Tensor) -> None:
        """Raise the flag on the device if the loss is not finite; it is never lowered."""
        # one kernel, of which the loss comes out multiplied by 1; isfinite and or would be six
        torch._amp_foreach_non_finite_check_and_unscale_([loss], self.flag, self._one)
