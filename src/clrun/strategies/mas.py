"""Memory aware synapses: parameters are held by how much the answers depend on them.

Aljundi et al. 2018 (https://arxiv.org/abs/1711.09601), with the squared norm of all outputs. After
each experience

    Omega  += mean over rows of |d ||f(x)||^2 / d theta|
    penalty = mas_lambda * sum of Omega * (theta - theta*)^2

where f(x) are the logits that the loss knows (`strategy.active`) and theta* the parameters that the
experience ended with. No label is read. As in the paper the absolute value is that of each row's
gradient, and Omegas are summed. Implementations take other means, norms and sums, so that no
mas_lambda can be taken from one to another: docs/methods/mas.md. Rows are read in evaluation mode,
without augmentation. The head is held too; layers of normalisation and what is frozen are not.
mas_lambda 1 is that of GT-RIPL and ContinualAI/continual-learning-baselines; mas_rows is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from clrun.config.bounds import Count, NonNegative
from clrun.config.moment import FIRST_LEARNT, SECOND, Moment
from clrun.strategies.held import Held
from clrun.strategies.importance import RowsRead
from clrun.strategies.plugin import Learnt, Update


class MAS:
    """The penalty, as a plugin of any strategy that descends."""

    weight_key = "mas_lambda"

    @dataclass(frozen=True, kw_only=True)
    class Config:
        mas_lambda: NonNegative = 1.0
        mas_rows: Count | None = 1000
        exclude: list[str] = field(default_factory=list)

        def acts_from(self) -> Mapping[str, Moment]:
            return {"mas_rows": FIRST_LEARNT, "mas_lambda": SECOND}

    def __init__(self, config: Config) -> None:
        self.config = config
        self.held = Held(config.exclude)

    def before_experience(self, model: nn.Module, experience_index: int) -> None:
        self.held.begin(model)

    def penalty(self, update: Update | None = None) -> Tensor | None:
        """None before the second experience, and where mas_lambda is 0."""
        distance = self.held.distance() if self.config.mas_lambda else None
        return None if distance is None else self.config.mas_lambda * distance

    def curvature(self) -> float:
        """The largest second derivative of the penalty."""
        return 2 * self.config.mas_lambda * self.held.largest()

    def before_update(self, update: Update | None = None) -> None:
        pass

    def after_update(self, update: Update | None = None) -> None:
        pass

    def after_experience(self, learnt: Learnt) -> None:
        """Add what this experience's rows say."""
        rows = RowsRead(learnt, self.config.mas_rows, "mas rows")
        # the gradient of ||f||^2 for the logits is 2 f
        directions = 2 * torch.where(rows.masked == rows.logits, rows.logits, 0)[:, None]
        weights = torch.ones_like(directions[:, :, 0])
        found = rows.mean(self.held.parameters, lambda n: (directions[n], weights[n]), power=1)
        self.held.move(found)

    def state_dict(self) -> dict[str, Any]:
        return self.held.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.held.load_state_dict(state)
