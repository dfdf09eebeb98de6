"""Features of images by a network, or part of one, that stays as it came; each computed once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from clrun.device.rows import Rows, sent
from clrun.models.layer_features import PIXELS, features_of
from clrun.models.macs import forward_macs
from clrun.profiling.activity import doing
from clrun.profiling.spans import span
from clrun.seeds import isolated
from clrun.strategies.latent_source import LatentSource
from clrun.strategies.strategy import Parts


class FrozenFeatures:
    """uint8 images -> what a layer makes of them in evaluation mode, without augmentation.

    Those of an experience's rows are held while it is learnt, those of rows it is evaluated on for
    ever. Pixels are never held: they are there.
    """

    def __init__(self, layer_name: str | None, parts: Parts) -> None:
        self.parts = parts
        channels = len(parts.transform.mean)
        self.module = features_of(parts.model, layer_name, channels, parts.transform)
        self.module.to(parts.device.torch)
        self._is_held = layer_name != PIXELS
        self._latents = self._source()
        self._macs: int | None = None  # of one image, once that was asked for
        self.train_macs = 0
        """Multiply-accumulates spent on training rows so far."""

    def of_training(self, x: Rows) -> Callable[[Tensor], Tensor]:
        """A function from the numbers [n] of rows of `x` to their features [n, d]."""
        if not self._is_held or not len(x):
            return lambda rows: self._latents.evaluation(x.index_select(0, rows))
        with self._drawing("features"), span("latents"), doing("computing features"):
            features = self._latents.cache.latents(x)
        if self._macs is None:
            self._macs = forward_macs(self.module, x.shape[1:])

        def taken(rows: Tensor) -> Tensor:
            self.train_macs += len(rows) * (self._macs or 0)
            return features[sent(rows, features.device)]

        return taken

    def forget(self, x: Rows) -> None:
        """The training rows `x` are learnt."""
        self._latents.cache.forget(x)

    def __call__(self, x: Rows) -> Tensor:
        """[B, C, H, W] -> [B, d] on the device"""
        with self._drawing("prediction"):
            return self._latents.evaluation(x)

    def state_dict(self) -> dict[str, Any]:
        return {"module": self.module.state_dict(), "train_macs": self.train_macs}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.module.load_state_dict(state["module"])
        self._latents = self._source()  # nothing is true that was known of other weights
        self.train_macs = state["train_macs"]

    def _source(self) -> LatentSource:
        return LatentSource(self.module, self.parts, cached=self._is_held, frozen=True)

    def _drawing(self, purpose: str) -> AbstractContextManager[None]:
        """Let modules of somebody's own draw what follows from the seed alone."""
        seed, device = self.parts.seed, self.parts.device.torch
        return isolated(seed, f"drawn by modules: {purpose}", device=device)


def on(device: torch.device) -> torch.device:
    """Where float64 is computed for this device: MPS has none."""
    return torch.device("cpu") if device.type == "mps" else device
