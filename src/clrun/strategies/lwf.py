"""LwF: on new rows the model keeps the answers that it gave before the experience.

Li & Hoiem 2017, "Learning without Forgetting", https://arxiv.org/abs/1606.09282, in its form for
one head (LwF.MC in Rebuffi et al. 2017, https://arxiv.org/abs/1611.07725). No row is stored; a
frozen copy of the model from the end of the previous experience is. From the second one on

    loss = w_new * criterion(f(x), y) + w_old * lwf_lambda * KD
    KD   = mean over rows of -sum over old classes of softmax(f_old(x) / T) * log softmax(f(x) / T)

with softmaxes over the classes of all earlier experiences and the criterion over all outputs.
`weighting: constant` has both weights 1 (the paper, Avalanche, FACIL); `experience` has w_new = 1/k
and w_old = 1 - 1/k in the k-th experience (GMvandeVen/continual-learning, for class-incremental
learning).

KD is not multiplied by T squared, as in those three. The copy sees the augmented inputs that the
model sees, in evaluation mode; Mammoth takes its answers once, to images without augmentation, and
trains a new head alone first. With `active: experience` this is the paper's form for a head a task:
KD is the sum of one for each earlier experience, with softmaxes over its classes alone. FACIL has
one softmax over all old heads there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import log_softmax, softmax

from clrun.config.bounds import NonNegative, Positive
from clrun.config.moment import SECOND, Moment
from clrun.strategies.descent import DescentStrategy
from clrun.strategies.descent_keys import DescentKeys
from clrun.strategies.device_patterns import shuffled, shuffled_updates
from clrun.strategies.learner import Learner
from clrun.strategies.places import places
from clrun.strategies.step import START, Position, Step
from clrun.strategies.strategy import Ahead, Parts
from clrun.streams.experience import Experience


class LwF(DescentStrategy):
    """Minibatch descent on current rows, held to the answers of the model before them."""

    @dataclass(frozen=True, kw_only=True)
    class Config(DescentKeys):
        tuned: ClassVar[Mapping[str, str]] = {
            **DescentKeys.tuned,
            "lwf_lambda": "tag(log,interval(0.1,10))",
        }
        lwf_lambda: NonNegative
        temperature: Positive
        weighting: Literal["constant", "experience"]

        def acts_from(self) -> Mapping[str, Moment]:
            distilled = ("lwf_lambda", "temperature", "weighting")  # from a model of before
            return {**self.descent_acts_from(), **dict.fromkeys(distilled, SECOND)}

    def __init__(self, config: Config, parts: Parts) -> None:
        self.config, self.parts = config, parts
        self.learner = Learner(config, parts)
        self.old_classes: list[int] = []
        """Classes of the experiences that are over, ascending."""

    @classmethod
    def updates(cls, config: Config, ahead: Ahead) -> Sequence[int]:
        return shuffled_updates(config, map(len, ahead.labels), ahead.seed)

    def learn(self, experience: Experience, start: Position = START) -> Iterator[Step]:
        """Train on the experience's rows in a fresh order each epoch, then keep the model."""
        learner = self.learner
        plan = shuffled(experience, self.config, self.parts.device, self.parts.seed)
        learner.begin(experience)
        groups = self._kept_together(experience.index)
        kept = torch.cat(groups) if groups else ()
        for place, rows in places(experience, self.config, plan, start):
            inputs = learner.inputs(rows.x, place)
            logits = learner.forward(inputs, place)
            loss = learner.loss(logits, rows.y)
            if learner.previous is not None:
                distance = self._distance(logits, learner.previous(inputs), groups)
                new, old = self._weights(experience.index)
                loss = new * loss + old * distance
                if old > 0:
                    learner.touches(kept)
            yield learner.update(loss, logits, rows.y, place)
        learner.end(experience)
        learner.snapshot()
        self.old_classes = sorted({*self.old_classes, *experience.classes})

    def _weights(self, experience: int) -> tuple[float, float]:
        """The weights of the criterion and of the distance."""
        if self.config.weighting == "constant":
            return 1.0, self.config.lwf_lambda
        new = 1 / (experience + 1)
        return new, (1 - new) * self.config.lwf_lambda

    def _kept_together(self, experience: int) -> list[Tensor]:
        """The old classes: those whose answers add up to 1 are one tensor [n] int64."""
        active, device = self.learner.active, self.parts.device.torch
        if active is not None and active.mode == "experience":
            return [classes.nonzero().flatten() for classes in active.table[:experience]]
        return [torch.tensor(self.old_classes, dtype=torch.int64, device=device)]

    def _distance(self, logits: Tensor, before: Tensor, groups: Sequence[Tensor]) -> Tensor:
        """The cross-entropy of the old answers and those of now, summed over groups of classes.
        [B, C] -> []"""
        scaled = [
            (z / self.config.temperature for z in (logits[:, g], before[:, g])) for g in groups
        ]
        kept = [-(softmax(then, 1) * log_softmax(now, 1)).sum(1).mean() for now, then in scaled]
        return torch.stack(kept).sum()

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "old_classes": list(self.old_classes)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.old_classes = list(state["old_classes"])
        super().load_state_dict(state)
