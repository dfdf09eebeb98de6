"""Features of rows: what a model's head is given, and what exemplars are chosen by."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from clrun.device.rows import Rows, rows_at_once
from clrun.models.features import Chooser, evaluating, extract_features, head_inputs
from clrun.profiling.spans import span
from clrun.strategies.drawing import ModuleDraws
from clrun.strategies.pass_macs import PassMacs
from clrun.strategies.strategy import Parts


class FeatureReader:
    """Reads features in evaluation mode, whatever mode the model is in.

    `evaluation` makes of uint8 rows what the whole model is given; `at_once` rows are most in a
    minibatch.
    """

    def __init__(
        self,
        parts: Parts,
        evaluation: Callable[[Rows], Tensor],
        at_once: int,
        draws: ModuleDraws,
        macs: PassMacs,
    ) -> None:
        self._parts, self._evaluation, self._at_once = parts, evaluation, at_once
        self._draws, self._macs = draws, macs

    @torch.no_grad()
    def features(self, x: Rows) -> Tensor:
        """What the head is given for uint8 rows. [B, C, H, W] -> [B, d] float32 on the device

        Raises:
            ConfigError: the model has no linear layer, which would be its head.
        """
        self._draws.seed("features")
        model = self._parts.model
        with evaluating(model), self._parts.device.autocast(), span("features"):
            return head_inputs(model, self._evaluation(x)).float()

    def extract(self, x: Tensor, layer_name: str | None) -> Tensor:
        """Features of uint8 rows for exemplar selection. [n, C, H, W] -> [n, d] float32, on the CPU

        Raises:
            ConfigError: the model has no such layer, or it gives no tensor for an image.
        """
        device = self._parts.device.torch
        chooser = self._parts.chooser or Chooser(self._parts.model)
        self._macs.add_forward(chooser.model, x)
        self._draws.seed("features")
        with span("features"):
            return extract_features(
                chooser.model,
                x,
                chooser.transform or self._parts.transform,
                layer_name=layer_name,
                batch_size=rows_at_once(self._at_once, x, device),
                device=device,
            )
