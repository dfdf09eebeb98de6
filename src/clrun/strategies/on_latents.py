"""Any strategy of descent above a layer of its model: what lies up to that layer stays as it came.

`strategy.latent_layer` names the layer. Up to and including it the model evaluates, and no weight
and no statistic of it changes; so what it makes of an image, the latent, is computed once: of an
experience's rows when the experience begins, of rows that are scored when they are first seen. A
strategy is given latents in the place of images and the rest of the model in the place of the
model, and need not know: what it stores, replays, compares and snapshots are latents.

Latents are made of images without augmentation. `latent_dtype` is what they are held in while an
experience is learnt and in a memory; of rows that are scored they are never rounded. AR1 cuts its
model itself, and may let what is below the cut learn.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from math import prod
from types import new_class
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from clrun.device.rows import Rows
from clrun.errors import ConfigError
from clrun.images.augment import AugmentPolicy, changes_colors
from clrun.images.patterns import Patterns
from clrun.images.transforms import Transform
from clrun.models.copies import copy_of
from clrun.models.cut import Cut, cut, require_whole
from clrun.models.dropout import idle_dropout
from clrun.models.macs import forward_macs, training_macs
from clrun.profiling.activity import doing
from clrun.profiling.spans import span
from clrun.strategies.descent_keys import DescentKeys
from clrun.strategies.latent_source import LatentSource
from clrun.strategies.step import START, Position, Step
from clrun.strategies.strategy import Ahead, Parts, Strategy, expected_updates
from clrun.streams.experience import Experience, StreamShape

log = logging.getLogger("clrun.note")


@dataclass(frozen=True)
class LatentTransform(Transform):
    """What the upper part is given of latents: the latents, as float32.

    A strategy that makes views of its own may crop and flip those that have places.
    """

    def evaluation(self, x: Tensor) -> Tensor:
        """[B, ...] of any float type -> float32"""
        return x.to(torch.float32)


LATENTS = LatentTransform((), (), "none")


class OnLatents(Strategy):
    """A strategy of the class `inner_class` above the layer `latent_layer`."""

    inner_class: ClassVar[type[Strategy]]

    def __init__(self, config: DescentKeys, parts: Parts) -> None:
        self.parts, self.dtype = parts, getattr(torch, config.latent_dtype)
        self.cut = frozen_cut(parts.model, config)
        if idle := idle_dropout(self.cut.lower):
            log.warning(
                "strategy.latent_layer=%s: dropout %s has no effect, as it lies below, where the "
                "model evaluates. Name a layer before it.",
                config.latent_layer,
                ", ".join(idle),
            )
        self.source = LatentSource(self.cut.lower, parts, cached=True, frozen=True)
        self._row_macs, above = _macs(self.cut, parts)
        make: Any = self.inner_class
        self.inner: Strategy = make(config, replace(parts, latents=None, **above))
        self._keeps_rows = type(self.inner).recall is not Strategy.recall
        self._begun: int | None = None  # the experience in progress
        self._spent = 0  # multiply-accumulates of latents to learn from

    @classmethod
    def updates(cls, config: Any, ahead: Ahead) -> Sequence[int] | None:
        return expected_updates(cls.inner_class, config, ahead)

    @classmethod
    def notes(cls, config: DescentKeys, ahead: Ahead) -> Iterator[str]:
        if ahead.augment != "none":
            yield (
                f"strategy.latent_layer={config.latent_layer}: latents are computed once, so "
                f"benchmark.augment={ahead.augment} changes nothing of this run."
            )
        yield from cls.inner_class.notes(config, ahead)

    def learn(self, experience: Experience, start: Position = START) -> Iterator[Step]:
        """Let the strategy learn the experience's latents, which are computed now."""
        if experience.index != self._begun:
            self._begun = experience.index
            self._spent += len(experience.train.y) * self._row_macs
        yield from self.inner.learn(self._as_latents(experience), start)
        self._begun = None
        if not self._keeps_rows:
            self.source.cache.forget(experience.train.x)

    def _as_latents(self, experience: Experience) -> Experience:
        """The experience with latents to train on, in memory or in a file that is mapped."""
        x, y = experience.train
        with span("latents"), doing("computing latents"):
            latents = self.source.cache.latents(x)
            held = latents.to("cpu", self.dtype)
        if held is not latents:
            self.source.cache.forget(x)
        return replace(experience, train=Patterns(held, y))

    @torch.no_grad()
    def predict(self, x: Rows) -> Tensor:
        """Logits of uint8 rows. [B, C, H, W] -> [B, num_classes]"""
        return self.inner.predict(self.source.evaluation(x))

    @classmethod
    def predictor(cls, config: Any, model: nn.Module, shape: StreamShape) -> nn.Module:
        """The lower part, and above it the strategy's own predictor."""
        both = frozen_cut(model, config)
        above = cls.inner_class.predictor(config, both.upper, _shape_above(both, shape))
        return Stacked(both.lower, above)

    def trained_predictor(self) -> nn.Module | None:
        """None where the strategy predicts with its model alone: the whole one is trained then."""
        found = self.inner.trained_predictor()
        if found is None and not _declares_predictor(self.inner_class):
            return None
        return Stacked(self.cut.lower, self.cut.upper if found is None else found)

    def recall(self, past: Sequence[Experience]) -> None:
        """Only a strategy that keeps whole experiences needs their latents again."""
        if self._keeps_rows:
            self.inner.recall([self._as_latents(experience) for experience in past])

    @property
    def train_macs(self) -> int | None:  # type: ignore[override]  # the strategy counts its own
        """What the strategy counts, and a forward pass of the lower part for each row once."""
        above = self.inner.train_macs
        return None if above is None else above + self._spent

    def memory_rows(self) -> dict[str, Any]:
        return self.inner.memory_rows()

    def vitals(self) -> dict[str, Any]:
        return self.inner.vitals()

    def state_dict(self) -> dict[str, Any]:
        """The strategy's, and what lies below it."""
        below = {"model": self.cut.lower.state_dict(), "begun": self._begun, "spent": self._spent}
        return {**self.inner.state_dict(), BELOW: below}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        below = state[BELOW]
        self.cut.lower.load_state_dict(below["model"])
        self.source.reset(frozen=True)
        self._begun, self._spent = below["begun"], below["spent"]
        self.inner.load_state_dict({name: part for name, part in state.items() if name != BELOW})


BELOW = "below the latent layer"
"""Where a state has what is not the inner strategy's."""


class Stacked(nn.Module):
    """The lower part of a model, and what predicts from its latents."""

    def __init__(self, lower: nn.Module, upper: nn.Module) -> None:
        super().__init__()
        self.lower, self.upper = lower, upper

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.upper(self.lower(x))
        return logits


def suited(cls: type[Strategy], config: Any) -> type[Strategy]:
    """The class that a run makes of a strategy's and its keys: `cls`, or `cls` on latents."""
    is_cut = isinstance(config, DescentKeys) and config.is_on_latents
    return _on_latents(cls) if is_cut else cls


@cache
def _on_latents(cls: type[Strategy]) -> type[Strategy]:
    members: Mapping[str, Any] = {
        "__module__": cls.__module__,
        "__qualname__": cls.__qualname__,
        "__doc__": cls.__doc__,
        "Config": cls.Config,  # type: ignore[attr-defined]
        "inner_class": cls,
        "whole_stream": cls.whole_stream,
        "uses_memory": cls.uses_memory,
        "check": staticmethod(partial(_check, cls)),
    }
    if not _declares_predictor(cls):  # the whole model predicts, whatever was frozen of it
        members = {**members, "predictor": vars(Strategy)["predictor"]}
    return new_class(cls.__name__, (OnLatents,), exec_body=lambda body: body.update(members))


def _declares_predictor(cls: type[Strategy]) -> bool:
    return cls.predictor.__func__ is not Strategy.predictor.__func__  # type: ignore[attr-defined]


def _check(cls: type[Strategy], config: DescentKeys, model: nn.Module, shape: StreamShape) -> None:
    """Refuse a cut that this model does not allow, then what the strategy itself refuses above it.

    Raises:
        ConfigError: see `frozen_cut` and `cut.require_whole`.
    """
    copied = copy_of(model)
    both = frozen_cut(copied, config)
    image_shape = (shape.channels, shape.height, shape.width)
    require_whole(copied, both, image_shape, key=f"strategy.latent_layer={config.latent_layer}")
    _require_no_images(config, len(both.latent_shape(image_shape)) == 3)
    cls.check(config, both.upper, _shape_above(both, shape))


def _require_no_images(config: DescentKeys, have_places: bool) -> None:
    """Refuse keys of a strategy that alter images in a way that latents do not allow.

    Raises:
        ConfigError: it changes colours, or mirrors or crops what has no places.
    """
    view: AugmentPolicy = getattr(config, "view", "none")
    flips = getattr(config, "flip_means", False)
    above = f"with strategy.latent_layer={config.latent_layer} rows are latents"
    if changes_colors(view):
        raise ConfigError(
            f"strategy.view={view}: changes colours of images, and {above}. "
            f"Use strategy.view={'crop_flip' if have_places else 'none'}."
        )
    if not have_places and (flips or view != "none"):
        key = f"strategy.view={view}" if view != "none" else "strategy.flip_means=true"
        raise ConfigError(
            f"{key}: mirrors or crops images, and {above} without places. "
            f"Use {key.partition('=')[0]}={'none' if view != 'none' else 'false'}."
        )


def frozen_cut(model: nn.Module, config: DescentKeys) -> Cut:
    """The model cut at the latent layer, its lower part frozen in evaluation mode.

    Raises:
        ConfigError: it cannot be cut there, both parts have a weight in common, or nothing above
            the layer would learn.
    """
    key = f"strategy.latent_layer={config.latent_layer}"
    assert config.latent_layer is not None
    both = cut(model, config.latent_layer)
    below = {id(tensor) for tensor in (*both.lower.parameters(), *both.lower.buffers())}
    above = {**dict(both.upper.named_parameters()), **dict(both.upper.named_buffers())}
    shared = [name for name, tensor in above.items() if id(tensor) in below]
    if shared:
        raise ConfigError(
            f"{key}: {shared[0]} of {type(model).__name__} is used below the layer and above it, "
            "and cannot both stay and learn. Name a layer before the first use or after the last."
        )
    if not any(parameter.requires_grad for parameter in both.upper.parameters()):
        raise ConfigError(f"{key}: leaves nothing above it to learn. Name a layer before the head.")
    both.lower.requires_grad_(False).eval()
    return both


def learning_part(model: nn.Module, config: Any) -> nn.Module:
    """What a strategy with these keys sees as its model: the model, or a copy's upper part."""
    if isinstance(config, DescentKeys) and config.is_on_latents:
        return frozen_cut(copy_of(model), config).upper
    return model


def _macs(both: Cut, parts: Parts) -> tuple[int, dict[str, Any]]:
    """Multiply-accumulates of a row's latent, and the parts of a strategy above the cut."""
    above: dict[str, Any] = {"model": both.upper, "transform": LATENTS}
    if parts.image_shape is None or parts.pattern_macs is None:
        return 0, {**above, "image_shape": None, "pattern_macs": None}
    latent_shape = both.latent_shape(parts.image_shape)
    above |= {"image_shape": latent_shape, "pattern_macs": training_macs(both.upper, latent_shape)}
    return forward_macs(both.lower, parts.image_shape), above


def _shape_above(both: Cut, shape: StreamShape) -> StreamShape:
    """The stream's shape with that of a latent in the place of an image's."""
    latent = both.latent_shape((shape.channels, shape.height, shape.width))
    channels, height, width = latent if len(latent) == 3 else (prod(latent), 1, 1)
    return replace(shape, channels=channels, height=height, width=width)
