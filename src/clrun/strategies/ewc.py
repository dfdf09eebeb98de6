"""Elastic weight consolidation: parameters are held by their Fisher information.

Kirkpatrick et al. 2017 (https://arxiv.org/abs/1612.00796). After each experience F is
the diagonal of the Fisher information at theta*, the parameters it ended with, on its own training
rows; from the second experience on the loss has the penalty

    separate: ewc_lambda / 2 * sum over experiences j of F_j * (theta - theta*_j)^2
    online:   ewc_lambda / 2 * G * (theta - theta* of the last one)^2,  G = gamma * G + F

(online: Schwarz et al. 2018, https://arxiv.org/abs/1805.06370, with the factor 1/2; Huszar 2018,
https://arxiv.org/abs/1712.03847, with gamma 1.) F of a row is

    exact:     sum over classes c of p_c * (d log p_c)^2
    sample:    (d log p_c)^2 for one c drawn from p
    predicted: (d log p_c)^2 for the c of the largest p
    empirical: (d log p_c)^2 for the row's label

of each row by itself, averaged over rows, in evaluation mode, without augmentation; p is the
softmax over the outputs that the loss knows (`strategy.active`). exact of 1,000 rows is what van de
Ven 2025 (https://arxiv.org/abs/2502.11756) finds best for its cost.

Implementations differ in all of this, so that no ewc_lambda can be taken from one to another:
docs/methods/ewc.md. The head is held too (FACIL leaves it out), layers of normalisation and what
is frozen are not. `separate` is kept as one quadratic, which takes 2 numbers a parameter however
many experiences there were.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import one_hot

from clrun.config.bounds import Count, NonNegative
from clrun.config.keys import Keys, Known
from clrun.config.moment import FIRST_LEARNT, SECOND, Moment
from clrun.strategies.held import Held
from clrun.strategies.importance import RowsRead
from clrun.strategies.plugin import Learnt, Update

Kept = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class EWC:
    """The penalty, as a plugin of any strategy that descends."""

    weight_key = "ewc_lambda"

    @dataclass(frozen=True, kw_only=True)
    class Config(Keys):
        ewc_lambda: NonNegative
        mode: Literal["separate", "online"] = "separate"
        gamma: Kept = 1.0
        fisher: Literal["exact", "sample", "predicted", "empirical"] = "exact"
        fisher_rows: Count | None = 1000
        exclude: list[str] = field(default_factory=list)

        def __post_init__(self) -> None:
            if self.mode == "separate" and self.gamma != 1:
                raise ValueError(
                    f"gamma={self.gamma:g}: mode=separate lets no experience fade. Use gamma=1, or "
                    "mode=online."
                )

        def conflicts(self, known: Known) -> Iterator[str]:
            if known.value("strategy.criterion") == "binary_cross_entropy":
                yield (
                    "strategy.plugins ewc: the Fisher information is that of softmax, and "
                    "strategy.criterion=binary_cross_entropy has none. Use cross_entropy, or the "
                    "plugin mas or si."
                )

        def acts_from(self) -> Mapping[str, Moment]:
            estimated = dict.fromkeys(("fisher", "fisher_rows"), FIRST_LEARNT)
            return {**estimated, **dict.fromkeys(("ewc_lambda", "mode", "gamma"), SECOND)}

    def __init__(self, config: Config) -> None:
        self.config = config
        self.held = Held(config.exclude)

    def before_experience(self, model: nn.Module, experience_index: int) -> None:
        self.held.begin(model)

    def penalty(self, update: Update | None = None) -> Tensor | None:
        """None before the second experience, and where ewc_lambda is 0."""
        distance = self.held.distance() if self.config.ewc_lambda else None
        return None if distance is None else self.config.ewc_lambda / 2 * distance

    def curvature(self) -> float:
        """The largest second derivative of the penalty."""
        return self.config.ewc_lambda * self.held.largest()

    def before_update(self, update: Update | None = None) -> None:
        pass

    def after_update(self, update: Update | None = None) -> None:
        pass

    def after_experience(self, learnt: Learnt) -> None:
        """Add this experience's Fisher information."""
        found = self._fisher(learnt)
        if self.config.mode == "separate":
            self.held.add(found)
        else:
            self.held.move(found, decay=self.config.gamma)

    def _fisher(self, learnt: Learnt) -> dict[str, Tensor]:
        """The diagonal of each parameter, in its shape."""
        rows = RowsRead(learnt, self.config.fisher_rows, "fisher rows")
        p = rows.masked.softmax(1)
        labels, weights = self._labels(rows, p, learnt)

        def directions(numbers: Tensor) -> tuple[Tensor, Tensor]:
            # the gradient of log p_c for the logits is the unit vector of c minus p
            units = one_hot(labels[numbers], p.shape[1])
            return units - p[numbers, None], weights[numbers]

        return rows.mean(self.held.parameters, directions, power=2)

    def _labels(self, rows: RowsRead, p: Tensor, learnt: Learnt) -> tuple[Tensor, Tensor]:
        """The classes that each row's gradients are taken for, and their weights. [N, K] both"""
        if self.config.fisher == "exact":
            return torch.arange(p.shape[1], device=p.device).expand(p.shape), p
        if self.config.fisher == "sample":
            rng = learnt.generator("fisher classes")
            labels = torch.multinomial(p.cpu().double(), 1, generator=rng).to(p.device)
        elif self.config.fisher == "predicted":
            labels = p.argmax(1, keepdim=True)
        else:
            labels = rows.y[:, None]
        return labels, torch.ones_like(labels, dtype=p.dtype)

    def state_dict(self) -> dict[str, Any]:
        return self.held.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.held.load_state_dict(state)
