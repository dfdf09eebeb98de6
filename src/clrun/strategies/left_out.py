"""Updates that are left out because their loss is not finite (`strategy.on_nan=skip`)."""

from __future__ import annotations

import logging
import math

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from clrun.errors import NonFiniteLoss
from clrun.strategies.places import Place

MOST_IN_A_ROW = 10
"""So many updates in a row are no accident of a few images: the run stops as without this."""

log = logging.getLogger("clrun.note")


class LeftOut:
    """Looks at each loss and its gradients, and gives the model's buffers back where they are bad.

    The loss is read in every update, which a GPU has to be waited for.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.in_a_row = 0
        """updates left out since one was made last"""
        self.is_bad = False
        """The update in progress is to be left out."""
        self._was_said = False
        self._buffers: list[tuple[Tensor, Tensor]] = []

    def enter(self) -> None:
        """An update begins: its forward passes may change running statistics."""
        self.is_bad = False
        self._buffers = [(buffer, buffer.clone()) for buffer in self.model.buffers()]

    @torch.no_grad()
    def look(self, loss: Tensor, optimizer: Optimizer | None, place: Place) -> None:
        """See whether the update can be made with this loss [] and the gradients of `optimizer`.

        Raises:
            NonFiniteLoss: it cannot, as those before.
        """
        if self.is_bad:
            return
        value = loss.item()
        is_finite = math.isfinite(value)
        if is_finite and (optimizer is None or gradients_are_finite(optimizer)):
            return
        self.is_bad = True
        self.in_a_row += 1
        where = (place.experience, place.epoch, place.iteration)
        if self.in_a_row >= MOST_IN_A_ROW:
            raise NonFiniteLoss(value, *where, self.in_a_row)
        if not self._was_said:
            self._was_said = True
            what = f"the loss is {value}" if not is_finite else "a gradient is NaN or infinite"
            log.warning(
                "%s in experience %d, epoch %d, iteration %d: that update is left out "
                "(strategy.on_nan=skip). results.json will say how many.",
                what,
                *(number + 1 for number in where),
            )

    @torch.no_grad()
    def undo(self) -> None:
        """Give the buffers what they held before the update."""
        for buffer, before in self._buffers:
            buffer.copy_(before)

    def made(self) -> None:
        """The update was made."""
        self.in_a_row = 0


def gradients_are_finite(optimizer: Optimizer) -> bool:
    """Whether all gradients are; on a GPU this waits for them."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    gradients = [p.grad for p in parameters if p.grad is not None]
    return not gradients or math.isfinite(
        torch.nn.utils.get_total_norm(gradients, norm_type=math.inf).item()
    )
