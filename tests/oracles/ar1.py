"""AR1 as one would write it down for speed on a CPU, with nothing around it.

The same maths as clrun's on the same rows in the same order, which come from clrun's functions of
indices; everything that computes is written out here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from clrun.memory.composition import Composition
from clrun.memory.minibatches import EpochPlan, plan_epoch
from clrun.seeds import generator
from oracles.by_hand import SGD, Rows, scale_and_shift
from oracles.mobilenet import Mobilenet
from oracles.synaptic_intelligence import SynapticIntelligence

CHUNK = 16
"""Images the frozen part computes at once; as many as stay in a processor's caches."""


class AR1Loop:
    """The whole of AR1 on MobileNetV1."""

    def __init__(
        self, case: dict[str, Any], weights: dict[str, np.ndarray], stream: Sequence[Rows]
    ) -> None:
        self.case, self.stream = case, stream
        self.net = Mobilenet(weights, 19, case)
        classes, features = self.net.head.shape
        self.saved = torch.zeros(classes, features)
        self.past = torch.zeros(classes, dtype=torch.int64)
        self.latent_shape = (case["data"]["side"] // 16,) * 2 + (512,)
        self.held_z = torch.empty(case["rm_sz"], *self.latent_shape)
        self.held_y = torch.empty(0, dtype=torch.int64)
        self.scale, self.shift = scale_and_shift(case, case["data"]["channels"])
        strength = case["ewc_lambda"]
        self.penalty = SynapticIntelligence(strength) if strength > 0 else None
        self.tests: list[Tensor] = []
        self.patterns = 0

    def learn(self, i: int) -> None:
        """Train on experience i, store some of its latents, consolidate the head."""
        case, net, rows = self.case, self.net, self.stream[i]
        x, y = torch.from_numpy(rows.train_x), torch.from_numpy(rows.train_y)
        if i > 0:
            net.bounds.settle(case["inc_update_rate"])
        counts = torch.bincount(torch.cat([y, self.held_y]), minlength=len(net.head))
        known = (counts > 0) & (self.past > 0)
        net.head = torch.where(known[:, None], self.saved, 0.0)
        learning = self._learning(i)
        sgd = SGD(learning, case["inc_lr"] if i else case["lr"], case["momentum"], case["l2"])
        latents = self._latents(x) if i else None
        if self.penalty:
            self.penalty.begin(self._regularised(i))
        for epoch in range(case["epochs"]):
            plan = self._plan(i, epoch, y)
            for k in range(len(plan)):
                self._update(sgd, self._minibatch(plan, k, x, latents), self._labels(plan, k, y))
        if self.penalty:
            self.penalty.end()
        self._store(i, x, y, latents)
        self._consolidate(counts)

    def _learning(self, i: int) -> list[Tensor]:
        """Weights that learn in the experience; the lower part's in the first alone."""
        layers = [*self.net.lower, *self.net.upper] if i == 0 else self.net.upper
        learning = [p for layer in layers for p in layer.parameters]
        for layer in self.net.lower:
            for p in layer.parameters:
                p.requires_grad_(i == 0)
        return [p.requires_grad_() for p in [*learning, self.net.head]]

    def _plan(self, i: int, epoch: int, y: Tensor) -> EpochPlan:
        sizes = Composition.proportional(len(y), len(self.held_y), self.case["mb"])
        rng = generator(self.case["seed"], "order", i, epoch)
        return plan_epoch(sizes, y, self.held_y, torch.zeros_like(self.held_y), rng)

    def _minibatch(self, plan: EpochPlan, k: int, x: Tensor, latents: Tensor | None) -> Tensor:
        """Latents of current rows, then of stored ones. [B, 512, 8, 8] channels last"""
        current, memory = plan[k]
        if latents is None:
            z = self._images(x.index_select(0, current))
            for layer in self.net.lower:
                z = layer.evaluated(z, layer.folded())
            return z
        z = torch.empty(len(current) + len(memory), *self.latent_shape)
        torch.index_select(latents, 0, current, out=z[: len(current)])
        torch.index_select(self.held_z, 0, memory, out=z[len(current) :])
        return z.permute(0, 3, 1, 2)

    def _labels(self, plan: EpochPlan, k: int, y: Tensor) -> Tensor:
        return torch.cat([y[plan[k].current], self.held_y[plan[k].memory]])

    def _update(self, sgd: SGD, z: Tensor, y: Tensor) -> None:
        self.patterns += len(y)
        loss = cross_entropy(self.net.trained_logits(z), y)
        gradients = list(torch.autograd.grad(loss, sgd.parameters))
        if self.penalty is None:
            sgd.follow(gradients)
        else:
            self.penalty.around(sgd, gradients)

    def _images(self, x: Tensor) -> Tensor:
        """Normalised images, channels last."""
        x = x.contiguous(memory_format=torch.channels_last).float()
        return x.mul_(self.scale).add_(self.shift)

    @torch.inference_mode()
    def _latents(self, x: Tensor) -> Tensor:
        """Outputs of the frozen part for uint8 images. [N, 8, 8, 512]"""
        folds = [layer.folded() for layer in self.net.lower]
        found = torch.empty(len(x), *self.latent_shape)
        for rows, place in zip(x.split(CHUNK), found.split(CHUNK), strict=True):
            z = self._images(rows)
            for layer, fold in zip(self.net.lower, folds, strict=True):
                z = layer.evaluated(z, fold)
            place.copy_(z.permute(0, 2, 3, 1))
        return found

    @torch.no_grad()
    def _store(self, i: int, x: Tensor, y: Tensor, latents: Tensor | None) -> None:
        """Fill free places, then replace random old rows: the rows AR1 would choose.

        `overwrites` in the case: free places are filled after the first experience only.
        """
        held, capacity, seed = len(self.held_y), self.case["rm_sz"], self.case["seed"]
        free = 0 if held and self.case.get("overwrites") else capacity - held
        wanted = min(len(y), max(free, capacity // (i + 1)))
        rng = generator(seed, "latent memory", i)
        chosen = torch.randperm(len(y), generator=rng)[:wanted].sort().values
        z = self._latents(x[chosen]) if latents is None else latents[chosen]
        rng = generator(seed, "latent memory places", i)
        gone = torch.randperm(held, generator=rng)[: max(wanted - free, 0)]
        added = wanted - len(gone)
        self.held_z[gone], self.held_y[gone] = z[added:], y[chosen][added:]
        self.held_z[held : held + added] = z[:added]
        self.held_y = torch.cat([self.held_y, y[chosen][:added]])

    @torch.no_grad()
    def _consolidate(self, counts: Tensor) -> None:
        """CWR*: save the rows of the classes trained, centred and weighed by what was before."""
        now = counts > 0
        trained = self.net.head.detach()
        rows = trained - trained[now].mean()
        s = (self.past / counts.clamp(min=1)).sqrt()[:, None]
        self.saved = torch.where(now[:, None], (self.saved * s + rows) / (s + 1), self.saved)
        self.past += counts
        self.net.head = torch.where(self.past[:, None] > 0, self.saved, trained)

    def _regularised(self, i: int) -> list[Tensor]:
        layers = [*self.net.lower, *self.net.upper] if i == 0 else self.net.upper
        return [layer.weight for layer in layers]

    def state(self) -> dict[str, np.ndarray]:
        """All that learns, by clrun's names."""
        return self.net.state()

    @torch.inference_mode()
    def accuracy(self) -> float:
        """Mean accuracy over the stream's experiences."""
        if not self.tests:
            self.tests = [self._latents(torch.from_numpy(rows.test_x)) for rows in self.stream]
        found = []
        for z, rows in zip(self.tests, self.stream, strict=True):
            logits = self.net.evaluated_logits(z.permute(0, 3, 1, 2))
            found.append(float((logits.argmax(1) == torch.from_numpy(rows.test_y)).float().mean()))
        return sum(found) / len(found)
