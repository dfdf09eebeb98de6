"""One update: forward, criterion plus penalties, backward, optimizer. Strategies call it."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, one_hot

from clrun.device.at_once import at_once
from clrun.models.dropout import SeededDropout, reseed
from clrun.models.features import evaluating, extract_features
from clrun.models.folding import EvaluatingForm
from clrun.profiling.spans import span
from clrun.seeds import generator
from clrun.strategies.descent import Descent
from clrun.strategies.shared_keys import SharedKeys
from clrun.strategies.step import Position, Step
from clrun.strategies.strategy import Parts


class Place(NamedTuple):
    """Where an update stands in the run: every random decision in it follows from this."""

    experience: int
    position: Position
    iterations: int
    """updates in this epoch"""


class Updater:
    """The model with its optimizer, criterion and plugins: what makes one update of the weights.

    The optimizer is built once and kept over the stream, over trainable parameters only.
    """

    def __init__(self, keys: SharedKeys, parts: Parts) -> None:
        self.keys, self.parts = keys, parts
        self.model = parts.model
        self.descent = Descent(keys, parts.device, parts.plugins)
        self.descent.start(parts.model.parameters(), keys.lr)
        self._forward = parts.device.runnable(parts.model)
        self._evaluated = EvaluatingForm(parts.model, self._forward, parts.device.runnable)
        self._has_dropout = any(isinstance(m, SeededDropout) for m in parts.model.modules())

    def begin(self, experience: int) -> None:
        """An experience starts or is continued: training mode, and the plugins told."""
        self.model.train()
        with span("plugins"):
            for plugin in self.parts.plugins:
                plugin.before_experience(self.model, experience)

    def end(self) -> None:
        """The experience is learnt."""
        with span("plugins"):
            for plugin in self.parts.plugins:
                plugin.after_experience()

    def step(self, x: Tensor, y: Tensor, place: Place, *, replayed: int = 0) -> Step:
        """Update on uint8 rows `x` [B, C, H, W] with labels `y` [B]."""
        experience, position, iterations = place
        parts = self.parts
        if self._has_dropout:
            reseed(self.model, parts.seed, experience, *position)
        y = y.to(parts.device.torch, non_blocking=True)
        with span("images"):
            inputs = parts.device.put(self._augmented(x, experience, position))
        with parts.device.autocast():
            with span("forward"):
                logits = self._forward(inputs)
            with span("loss"):
                loss = criterion(self.keys.criterion, logits, y)
        correct = (logits.detach().argmax(1) == y).sum()
        return Step(self.descent.update(loss), correct, len(y), replayed, *position, iterations)

    def _augmented(self, x: Tensor, experience: int, position: Position) -> Tensor:
        """What the model sees of uint8 rows while it learns, on the device."""
        parts = self.parts
        x = x.to(parts.device.torch, non_blocking=True)
        if parts.transform.augment == "none":  # a generator takes longer than the rest of this
            return parts.transform.training(x, None)
        rng = generator(parts.seed, "augmentation", experience, *position)
        return parts.transform.training(x, parts.transform.draw(len(x), rng))

    @torch.no_grad()
    def predict(self, x: Tensor) -> Tensor:
        """Logits of uint8 rows in evaluation mode. [B, C, H, W] -> [B, num_classes] on device"""
        parts = self.parts
        with evaluating(self.model), parts.device.autocast():
            with span("images"):
                inputs = parts.device.put(parts.transform.evaluation(x.to(parts.device.torch)))
            with span("forward"):
                return self._evaluated(inputs).float()

    def extract(self, x: Tensor, layer_name: str | None) -> Tensor:
        """Features of uint8 rows for exemplar selection. [n, C, H, W] -> [n, d] float32"""
        device = self.parts.device.torch
        with span("features"):
            return extract_features(
                self.model,
                x,
                self.parts.transform,
                layer_name=layer_name,
                batch_size=at_once(self.keys.eval_mb_size, x, device),
                device=device,
            )

    def state_dict(self) -> dict[str, Any]:
        return {"model": self.model.state_dict(), "descent": self.descent.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.descent.load_state_dict(state["descent"])


def criterion(name: str, logits: Tensor, y: Tensor) -> Tensor:
    """Mean loss of a minibatch. [B, C], [B] -> []

    `binary_cross_entropy` treats each class as its own yes-or-no question (as iCaRL trains), summed
    over classes.
    """
    if name == "cross_entropy":
        return cross_entropy(logits, y)
    targets = one_hot(y, logits.shape[1]).to(logits.dtype)
    return binary_cross_entropy_with_logits(logits, targets, reduction="sum") / len(y)
