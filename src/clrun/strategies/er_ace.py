"""ER-ACE: replay whose current rows compete only among the classes beside them in the minibatch.

Caccia et al. 2022, "New Insights on Reducing Abrupt Representation Change in Online Continual
Learning", https://arxiv.org/abs/2104.05025. The loss of an update is the criterion on current rows
with the logits of all other classes masked, plus the criterion on remembered rows with all logits.
Current rows thus never push the head's rows of past classes down.

Current rows know the classes of the current minibatch, as in the paper. The authors' code adds the
outputs from the largest class seen so far on, which means classes to come only where classes come
in the order of their numbers. Both means have weight 1, as in the authors' code (Avalanche halves
the sum: `replay_weight: 0.5`), and masking begins with the first update. The authors' head has
cosine logits; here it is the model's own. Memory, mixing and their keys are those of `replay`: by
default, as published, rows are offered as they pass to a reservoir, and as many uniformly drawn
ones come on top.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from clrun.config.moment import Moment
from clrun.strategies.active import MASKED
from clrun.strategies.places import places
from clrun.strategies.rehearsal_plan import rehearsal_updates
from clrun.strategies.replay import Replay
from clrun.strategies.replay_weight import WeightedReplayKeys, Weights
from clrun.strategies.step import START, Position, Step
from clrun.strategies.strategy import Ahead
from clrun.streams.experience import Experience

EQUAL = Weights(1.0, 1.0)


class ERACE(Replay):
    """Replay with an asymmetric loss for current and remembered rows."""

    @dataclass(frozen=True, kw_only=True)
    class Config(WeightedReplayKeys):
        fits_bic: ClassVar[bool] = True

        def acts_from(self) -> Mapping[str, Moment]:
            return self.rehearsal_acts_from()

    @classmethod
    def updates(cls, config: WeightedReplayKeys, ahead: Ahead) -> Sequence[int]:
        return rehearsal_updates(config, ahead)

    def learn(self, experience: Experience, start: Position = START) -> Iterator[Step]:
        """Train on the experience mixed with the memory, and let the memory choose from it."""
        experience = self.without_held_out(experience)
        learner, rehearsal = self.learner, self.rehearsal
        learner.begin(experience)
        for place, rows in places(experience, self.config, rehearsal.plan(experience), start):
            logits = learner.forward(learner.inputs(rows.x, place), place)
            new = len(rows.y) - rows.replayed
            loss = learner.loss(_among_themselves(logits[:new], rows.y[:new]), rows.y[:new])
            if rows.replayed:
                weights = self.config.weights(experience.index) or EQUAL
                replayed = learner.loss(logits[new:], rows.y[new:])
                loss = weights.current * loss + weights.replayed * replayed
            step = learner.update(loss, logits, rows.y, place, rows.replayed)
            rehearsal.after_update(experience, place, rows)
            yield step
        learner.end(experience)
        rehearsal.after_experience(experience)


def _among_themselves(logits: Tensor, y: Tensor) -> Tensor:
    """The logits of classes that occur in y, all others masked. [B, C], [B] -> [B, C]"""
    absent = torch.ones(logits.shape[1], dtype=torch.bool, device=y.device).index_fill(0, y, False)
    return logits.masked_fill(absent, MASKED)
