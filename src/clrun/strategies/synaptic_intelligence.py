"""Synaptic Intelligence: parameters that did much for past losses are held back.

Zenke et al. 2017 (https://arxiv.org/abs/1703.04200), in the form that AR1 uses (Maltoni &
Lomonaco 2019, https://arxiv.org/abs/1806.08568), which clips importances. What differs from the
reference code: importances are never negative, which would push parameters away from where they
were; parameters that are frozen, or got no gradient, gain nothing from an update; parameters of
normalisation layers, PyTorch's and ours and what derives from them, are left out; and it works on
every device.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from clrun.config.bounds import NonNegative, Positive
from clrun.config.moment import FIRST_LEARNT, SECOND, Moment
from clrun.strategies.plugin import Learnt, Update
from clrun.strategies.regularised import flat, flat_known, regularised


class SynapticIntelligence:
    """A quadratic pull towards the last experience's parameters, weighted by importance.

        trajectory += gradient * (theta after - theta before)         each update
        cumulative += c * trajectory / ((theta - reference)^2 + eps)  each experience
        importance  = -cumulative clipped to [0, clip]
        penalty     = ewc_lambda / 2 * sum(importance * (theta - reference)^2)

    With `clamp: experience` that clipping is done to `cumulative` itself at the end of each
    experience, and what was cut off is forgotten; with `use` the sums go on as they are.

    `reference` is theta at the start of the experience, and the gradient is that of the whole
    loss, penalty included, weight decay not. `reference` and `trajectory` are vectors over the
    regularised parameters in the model's order; `cumulative` has a vector for each parameter ever
    regularised, by name. None of them shares memory with the model. All of it follows from the
    parameters alone, so it can be called without an update and without rows.
    """

    weight_key = "ewc_lambda"

    @dataclass(frozen=True, kw_only=True)
    class Config:
        ewc_lambda: NonNegative
        eps: Positive = 1e-7  # the reference code's; the paper's xi, 0.1 or 0.001 there
        clip: Positive = 0.001  # the reference code's, and that of AR1's Caffe original
        c: Positive = 1.0  # the reference code's
        clamp: Literal["use", "experience"] = "use"  # the reference code's
        exclude: list[str] = field(default_factory=list)

        def acts_from(self) -> Mapping[str, Moment]:
            # the account is kept whatever its weight, and made importance when the first
            # experience is over
            ended = dict.fromkeys(("eps", "c", "clamp"), FIRST_LEARNT)
            clipped = SECOND if self.clamp == "use" else FIRST_LEARNT
            return {**ended, "ewc_lambda": SECOND, "clip": clipped}

    def __init__(self, config: Config) -> None:
        self.config = config
        self.reference = torch.empty(0)
        self.trajectory = torch.empty(0)
        self.cumulative: dict[str, Tensor] = {}
        self._names: list[str] = []
        self._experience: int | None = None  # the one in progress
        self._parameters: list[nn.Parameter] = []
        self._importance: Tensor | None = None
        self._before: tuple[Tensor, Tensor] | None = None  # gradient, theta

    @property
    def importance(self) -> dict[str, Tensor]:
        """Omega of each parameter by name, flattened: 0 (free) to clip (held most)."""
        return {name: (-sums).clamp(0, self.config.clip) for name, sums in self.cumulative.items()}

    def before_experience(self, model: nn.Module, experience_index: int) -> None:
        """Find the parameters to regularise, and remember where they are.

        Raises:
            ConfigError: a pattern of `exclude` matches no parameter.
        """
        found = regularised(model, self.config.exclude)
        names, self._parameters = list(found), list(found.values())
        theta = self._theta()
        if experience_index == self._experience:  # continued from a saved state
            assert names == self._names, "other parameters are frozen than when it was saved"
            self.reference = self.reference.to(theta.device)
            self.trajectory = self.trajectory.to(theta.device)
        else:
            self.reference, self.trajectory = theta, torch.zeros_like(theta)
        self._names, self._experience = names, experience_index
        known = bool(self.cumulative and names)
        self._importance = flat_known(found, self.importance) if known else None

    def penalty(self, update: Update | None = None) -> Tensor | None:
        """ewc_lambda / 2 * sum(importance * (theta - reference)^2); None before the second
        experience and where ewc_lambda is 0."""
        if self._importance is None or self.config.ewc_lambda == 0:
            return None
        moved = flat(self._parameters) - self.reference
        return self.config.ewc_lambda / 2 * (self._importance * moved.square()).sum()

    def curvature(self) -> float:
        """The largest second derivative of the penalty."""
        if self._importance is None:
            return 0.0
        return self.config.ewc_lambda * self._importance.max().item()

    @torch.no_grad()
    def before_update(self, update: Update | None = None) -> None:
        """Copy gradients and parameters: optimizers change both in place."""
        gradient = flat(_gradient(parameter) for parameter in self._parameters)
        self._before = gradient, self._theta()

    @torch.no_grad()
    def after_update(self, update: Update | None = None) -> None:
        """Add what the update did for the loss, to first order, to each parameter's account."""
        assert self._before is not None, "before_update() comes before each update"
        gradient, before = self._before
        moved = self._theta() - before
        # A gradient scaler skips updates whose gradients overflowed: infinity times 0 is NaN.
        self.trajectory += (gradient * moved).masked_fill_(moved == 0, 0)
        self._before = None

    @torch.no_grad()
    def after_experience(self, learnt: Learnt | None = None) -> None:
        """Turn this experience's trajectory into importance."""
        theta = self._theta()
        gained = self.trajectory / ((theta - self.reference).square() + self.config.eps)
        sizes = [parameter.numel() for parameter in self._parameters]
        for name, sums in zip(self._names, gained.mul_(self.config.c).split(sizes), strict=True):
            known = self.cumulative.get(name)
            sums = sums.clone() if known is None else known.to(sums.device) + sums
            if self.config.clamp == "experience":
                sums.clamp_(-self.config.clip, 0)
            self.cumulative[name] = sums
        self.reference, self._experience = theta, None

    def state_dict(self) -> dict[str, Any]:
        return {
            "experience": self._experience,
            "names": list(self._names),
            "reference": self.reference.clone(),
            "trajectory": self.trajectory.clone(),
            "cumulative": {name: sums.clone() for name, sums in self.cumulative.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._experience, self._names = state["experience"], list(state["names"])
        self.reference, self.trajectory = state["reference"].clone(), state["trajectory"].clone()
        self.cumulative = {name: sums.clone() for name, sums in state["cumulative"].items()}

    def _theta(self) -> Tensor:
        return flat(parameter.detach() for parameter in self._parameters)


def _gradient(parameter: nn.Parameter) -> Tensor:
    """The gradient, or zeros for a parameter that this update leaves alone."""
    if parameter.grad is None or not parameter.requires_grad:
        return torch.zeros_like(parameter)
    return parameter.grad
