"""A model as it was at one moment: what it would have answered."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from clrun.device.device import Device
from clrun.fast.evaluating_form import evaluating_form
from clrun.models.copies import copy_of
from clrun.models.cut import evaluation_graph
from clrun.profiling.spans import span


class Snapshot:
    """A frozen copy of a model, for ever in evaluation mode.

    `on_pass` is given the inputs of each forward pass, for whoever counts them.
    """

    def __init__(self, model: nn.Module, device: Device, on_pass: Callable[[Tensor], None]) -> None:
        self._on_pass = on_pass
        self.model = copy_of(model).eval().requires_grad_(False)
        for parameter in self.model.parameters():
            parameter.grad = None
        self._device = device
        forward = device.runnable(self.model)
        self._forward = evaluating_form(self.model, forward, device, evaluation_graph)

    @torch.no_grad()
    def __call__(self, inputs: Tensor) -> Tensor:
        """Logits [B, num_classes] float32 of inputs as `Learner.inputs` makes them."""
        self._on_pass(inputs)
        with self._device.autocast(), span("forward"):
            return self._forward(inputs).float()
