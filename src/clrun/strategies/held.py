"""A quadratic pull of parameters towards where they were, as strong as each matters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from clrun.strategies.regularised import flat, flat_known, regularised


class Held:
    """sum over parameters of importance * (theta - anchor)^2, plus a constant.

    `importance` and `anchor` have a vector for each parameter that was ever held, by name, as
    wide as two models together. None of them shares memory with the model.
    """

    def __init__(self, exclude: Sequence[str]) -> None:
        self.importance: dict[str, Tensor] = {}
        self.anchor: dict[str, Tensor] = {}
        self.constant = 0.0
        self.parameters: dict[str, nn.Parameter] = {}
        """those regularised in the experience in progress, by name"""
        self._exclude = exclude
        self._vectors: tuple[Tensor, Tensor] | None = None  # importance and anchor of all of these

    def begin(self, model: nn.Module) -> None:
        """Find the parameters to hold, in an experience that starts or goes on.

        Raises:
            ConfigError: a pattern of `exclude` matches no parameter.
        """
        self.parameters = regularised(model, self._exclude)
        self._vectors = None
        if self.importance and self.parameters:
            known = (self.importance, self.anchor)
            self._vectors = tuple(flat_known(self.parameters, each) for each in known)  # type: ignore[assignment]

    def distance(self) -> Tensor | None:
        """The sum as it is now; None while nothing is known to matter."""
        if self._vectors is None:
            return None
        importance, anchor = self._vectors
        moved = flat(self.parameters.values()) - anchor
        return (importance * moved.square()).sum() + self.constant

    def largest(self) -> float:
        """The largest importance of any of them; 0 while nothing is known. Synchronises."""
        return 0.0 if self._vectors is None else self._vectors[0].max().item()

    @torch.no_grad()
    def move(self, found: Mapping[str, Tensor], *, decay: float = 1.0) -> None:
        """importance = decay * importance + found, anchored where the parameters are now."""
        for known in self.importance.values():
            known.mul_(decay)
        for name, importance in found.items():
            new = importance.flatten()
            self.importance[name] = self._known(name, new) + new
            self.anchor[name] = self._theta(name)

    @torch.no_grad()
    def add(self, found: Mapping[str, Tensor]) -> None:
        """Add found * (theta - theta now)^2.

        A sum of quadratics is one, around the mean of their anchors weighted by importance, and a
        constant. So it takes as much memory after many experiences as after one.
        """
        for name, importance in found.items():
            new, theta = importance.flatten(), self._theta(name)
            old = self._known(name, new)
            anchor = self.anchor.get(name, theta).to(new)
            total, apart = old + new, theta - anchor
            share = torch.where(total > 0, new / total, 0)
            self.constant += float((old * share * apart.square()).sum())
            self.importance[name], self.anchor[name] = total, anchor + share * apart

    def state_dict(self) -> dict[str, Any]:
        return {
            "importance": {name: values.clone() for name, values in self.importance.items()},
            "anchor": {name: values.clone() for name, values in self.anchor.items()},
            "constant": self.constant,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.importance = {name: values.clone() for name, values in state["importance"].items()}
        self.anchor = {name: values.clone() for name, values in state["anchor"].items()}
        self.constant = state["constant"]

    def _known(self, name: str, like: Tensor) -> Tensor:
        return self.importance[name].to(like) if name in self.importance else like.new_zeros(())

    def _theta(self, name: str) -> Tensor:
        return self.parameters[name].detach().flatten().clone()
