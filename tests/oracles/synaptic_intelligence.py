"""Synaptic Intelligence over lists of tensors at once (Zenke et al. 2017, arXiv:1703.04200)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from oracles.by_hand import SGD

EPS, CLIP = 1e-7, 0.001


class SynapticIntelligence:
    """Importance of each weight, never negative; its penalty's gradient is written out."""

    def __init__(self, strength: float) -> None:
        self.strength = strength
        self.gained: dict[int, Tensor] = {}
        self.weights: list[Tensor] = []

    @torch.no_grad()
    def begin(self, weights: Sequence[Tensor]) -> None:
        """An experience starts, in which these weights learn."""
        self.weights = list(weights)
        self.reference = [w.detach().clone() for w in weights]
        self.trajectory = [torch.zeros_like(w) for w in weights]
        known = [self.gained.get(id(w)) for w in weights]
        self.importance = [(-k).clamp_(0, CLIP) for k in known if k is not None]

    @torch.no_grad()
    def around(self, sgd: SGD, gradients: list[Tensor]) -> None:
        """Add the penalty's gradient, update, and note what the update did for the loss."""
        places = {id(p): place for place, p in enumerate(sgd.parameters)}
        mine = [gradients[places[id(w)]] for w in self.weights]
        if self.importance:
            pull = torch._foreach_sub(self.weights, self.reference)
            torch._foreach_mul_(pull, self.importance)
            torch._foreach_add_(mine, pull, alpha=self.strength)
        before = [w.detach().clone() for w in self.weights]
        sgd.follow(gradients)
        torch._foreach_addcmul_(self.trajectory, mine, torch._foreach_sub(self.weights, before))

    @torch.no_grad()
    def end(self) -> None:
        """Turn the experience's trajectory into importance."""
        for w, reference, trajectory in zip(
            self.weights, self.reference, self.trajectory, strict=True
        ):
            gained = trajectory / ((w - reference).square() + EPS)
            self.gained[id(w)] = self.gained.get(id(w), 0) + gained
