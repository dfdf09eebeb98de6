"""What a trained model answers, apart from the strategy that trained it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from clrun.device.device import Device
from clrun.device.rows import Rows
from clrun.fast.evaluating_form import evaluating_form
from clrun.images.transforms import Transform
from clrun.models.cut import evaluation_graph
from clrun.models.features import evaluating
from clrun.seeds import isolated


class Answers:
    """The logits of a module that gives them of images as `transform` makes them.

    They are computed as a `Learner` computes them. `quick` is in the form that is only for speed,
    or compiled, where the device is asked to.
    """

    def __init__(
        self, model: nn.Module, transform: Transform, device: Device, seed: int, *, quick: bool
    ) -> None:
        self.model, self.transform, self.device, self.seed = model, transform, device, seed
        plain: Callable[[Tensor], Tensor] = model
        runnable = device.runnable(model) if quick else plain
        self._forward = (
            evaluating_form(model, runnable, device, evaluation_graph) if quick else plain
        )

    @torch.no_grad()
    def predict(self, x: Rows) -> Tensor:
        """Logits of uint8 rows in evaluation mode. [B, C, H, W] -> [B, num_classes] on device"""
        device = self.device
        with (
            isolated(self.seed, "drawn by modules: prediction", device=device.torch),
            evaluating(self.model),
            device.autocast(),
        ):
            inputs = device.put(self.transform.evaluation(x.to(device.torch)))
            logits: Tensor = self._forward(inputs).float()
            return logits
