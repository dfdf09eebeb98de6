"""Where AR1's latents come from: computed for a minibatch, or once and for all where they stay."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from clrun.device.rows import DeviceRows, Rows, has_room, sent
from clrun.fast.chunks import frozen_rows, learning_rows
from clrun.fast.evaluating_form import evaluating_form
from clrun.memory.row_order import take_rows
from clrun.models.cut import evaluation_graph
from clrun.models.features import evaluating
from clrun.profiling.activity import doing
from clrun.profiling.spans import span
from clrun.strategies.latent_cache import Compute, LatentCache
from clrun.strategies.places import Place
from clrun.strategies.shared_latents import rows_digest, weights_digest
from clrun.strategies.strategy import Parts


class LatentSource:
    """The lower part of a model as a function of uint8 images.

    `frozen` says that it will not change any more. Then what it makes of images without
    augmentation is computed once (`cached`): of an experience's rows for the time of that
    experience, of rows it is evaluated on for ever.
    """

    def __init__(self, lower: nn.Module, parts: Parts, *, cached: bool, frozen: bool) -> None:
        self.lower, self.parts, self.cached, self.frozen = lower, parts, cached, frozen
        device = parts.device
        self._forward = evaluating_form(lower, device.runnable(lower), device, evaluation_graph)
        self._chunk = frozen_rows(device.torch, tricks=device.tricks)
        self.cache = LatentCache(
            self._without_augmentation,
            chunk=self._chunk,
            has_room=partial(has_room, device=device.torch),
            shared=self._shared,
        )
        self._stays = frozen  # and for good
        self._lower: str | None = None  # what tells its weights from others, once that was asked
        self._current: Tensor | None = None  # of an experience's rows, where they do not change
        self._images: DeviceRows | None = None  # those rows, where their latents change

    def begin(self, x: Rows, *, frozen: bool) -> None:
        """An experience with training images `x` starts or is continued."""
        self.frozen = self._stays = frozen
        self._images = None
        if not frozen:
            self._changed()
        elif self.cached and self.parts.transform.augment == "none":
            with span("latents"), doing("computing latents"):
                self._current = self.cache.latents(x)

    def end(self, x: Rows, *, stays: bool) -> None:
        """It is over, and the lower part stays what it is until another one begins, or for good."""
        if self._current is not None:
            self.cache.forget(x)
        self._current, self.frozen, self._stays = None, True, stays
        self._images = None

    def reset(self, *, frozen: bool) -> None:
        """Other weights were loaded."""
        self._changed()
        self._current, self.frozen, self._stays = None, frozen, False

    def _changed(self) -> None:
        """Nothing is true any more that was known of the lower part."""
        self.cache.clear()
        self._lower = None

    @property
    def uses_cache(self) -> bool:
        """The current experience's latents were all computed when it began."""
        return self._current is not None

    @property
    def numbers_on(self) -> torch.device:
        """Where `training` wants the numbers of rows, of an experience that has begun."""
        return torch.device("cpu") if self._current is None else self._current.device

    def training(self, x: Rows, rows: Tensor, place: Place) -> Tensor:
        """Latents of a minibatch's rows of `x`, augmented, on the device."""
        with span("latents"):
            if self._current is not None:
                return self.parts.device.put(_taken(self._current, rows))
            return self._augmented(x, rows, place)

    def _augmented(self, x: Rows, rows: Tensor, place: Place) -> Tensor:
        parts = self.parts
        rng = place.generator(parts.seed, "augmentation")
        if self._images is None:
            self._images = parts.device.hold(x)
        images = self._images.take(rows)
        inputs = parts.transform.training(images, parts.transform.draw(len(rows), rng))
        return self._frozen(inputs) if self.frozen else self._learning(inputs)

    def unaugmented(self, x: Rows, rows: Tensor) -> Tensor:
        """Latents of rows of `x` by the weights of now, without augmentation, on the CPU."""
        if self._current is not None:
            return _taken(self._current, rows).cpu()
        return self.cache.compute(x.index_select(0, rows))

    def evaluation(self, x: Rows) -> Tensor:
        """Latents of images, without augmentation, on the device."""
        if self.cached and self.frozen and len(x):
            with span("latents"):
                return self.parts.device.put(self.cache.latents(x))
        return self._without_augmentation(x)

    def _shared(self, x: Rows, compute: Compute) -> Tensor:
        """The latents of images, without augmentation, as any run computes them that has this lower
        part for good."""
        store = self.parts.latents
        if store is None or not self._stays:
            return compute()
        if self._lower is None:
            self._lower = weights_digest(self.lower)
        facts = f"{self.parts.transform} {self._chunk}"
        found = store.latents(self._lower, facts, rows_digest(x), compute=compute)
        device = self.parts.device.torch
        return found.to(device) if has_room(found.nbytes, device) else found

    def _learning(self, inputs: Tensor) -> Tensor:
        """With gradients. Rows do not meet in the lower part, so they need not go together."""
        device, count = self.parts.device, len(inputs)
        pieces = -(-count // learning_rows(device.torch, count, tricks=device.tricks))
        return torch.cat(
            [self._forward(rows) for rows in self.parts.device.put(inputs).chunk(pieces)]
        )

    @torch.no_grad()
    def _without_augmentation(self, x: Rows) -> Tensor:
        device = self.parts.device
        with span("latents"), evaluating(self.lower), device.autocast():
            return self._frozen(self.parts.transform.evaluation(x.to(device.torch)))

    @torch.no_grad()
    def _frozen(self, inputs: Tensor) -> Tensor:
        """Without gradients nothing is kept for later, so any number of rows can go at once."""
        chunks = self.parts.device.put(inputs).split(self._chunk)
        return torch.cat([self._forward(chunk) for chunk in chunks])


def _taken(latents: Tensor, rows: Tensor) -> Tensor:
    """The latents of these rows, where they are."""
    return take_rows(latents, sent(rows, latents.device))
