"""iCaRL: old answers are kept with sigmoids, and a class is what its exemplars have in common.

Rebuffi et al. 2017, "iCaRL: Incremental Classifier and Representation Learning",
https://arxiv.org/abs/1611.07725. Current rows and exemplars are shuffled together. The loss is the
binary cross-entropy of each output's sigmoid with

    target = the old network's sigmoid(logit / temperature)   for classes of earlier experiences
           = 1 for the row's class, else 0                    for all others

for every row, averaged over rows and all outputs as in the authors' code. `outputs=sum` adds up the
outputs instead; with `active=seen` and `temperature=2` that is the loss of
GMvandeVen/continual-learning. When an experience is over the memory chooses exemplars of its
classes, and a row is given the class with the nearest mean of exemplars (algorithms 1, 4 and 5).

By default the memory is `class_balanced`, which is the paper's: the first mem_size // classes
exemplars of each class, in the order of herding by unit-length features, whose mean is not scaled
again; no row is picked twice. What is left over of that division goes one row each to the newest
classes; the authors' code rounds up instead, and so may hold more than mem_size rows.
`flip_means=true` has mirror images in the means too, as in the authors' code (Avalanche, Mammoth).

Within an experience a prediction is what it would be if the experience were over: exemplars of its
classes are chosen by the weights of then, which takes a pass over its rows and herding each time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, one_hot

from clrun.config.bounds import Count, Positive
from clrun.config.moment import SECOND, Moment
from clrun.images.patterns import Patterns
from clrun.memory.replay_memory import ReplayMemory
from clrun.memory.table import Table
from clrun.models.features import head
from clrun.strategies.descent_keys import DescentKeys
from clrun.strategies.device_patterns import DevicePatterns
from clrun.strategies.learner import Learner
from clrun.strategies.nearest_means import NearestMeansStrategy
from clrun.strategies.places import Minibatches, places
from clrun.strategies.rehearsal import Mixed, MixedMinibatches
from clrun.strategies.rehearsal_plan import joint_rows, joint_updates
from clrun.strategies.row_measures import replay_memory
from clrun.strategies.step import START, Position, Step
from clrun.strategies.strategy import Ahead, Parts
from clrun.streams.experience import Experience


class ICaRL(NearestMeansStrategy):
    """Descent on rows and exemplars, held to the old answers; means of exemplars predict."""

    @dataclass(frozen=True, kw_only=True)
    class Config(DescentKeys):
        tuned: ClassVar[Mapping[str, str]] = {"lr": "tag(log,interval(0.01,10))"}
        mem_size: Count
        outputs: Literal["mean", "sum"]
        temperature: Positive
        flip_means: bool
        active: Literal["all", "seen"] = "all"  # others hide outputs whose old answers are kept
        head_correction: Literal["none"] = "none"  # the head does not predict
        criterion: Literal["binary_cross_entropy"] = "binary_cross_entropy"

        def acts_from(self) -> Mapping[str, Moment]:
            # what is stored counts in a prediction within the first experience
            return {**self.descent_acts_from(), "temperature": SECOND}

    def __init__(self, config: Config, parts: Parts) -> None:
        self.config, self.parts = config, parts
        self.head_name = head(parts.model)[0]
        self.learner = Learner(config, parts)
        self.memory = replay_memory(config.mem_size, parts, self.learner)
        self.old_classes: list[int] = []
        """Classes of the experiences that are over, ascending."""
        self._experience: Experience | None = None  # the one in progress

    @classmethod
    def updates(cls, config: Config, ahead: Ahead) -> Sequence[int]:
        return joint_updates(config, config.mem_size, ahead)

    def learn(self, experience: Experience, start: Position = START) -> Iterator[Step]:
        """Train on the experience and the exemplars, then choose exemplars of its classes."""
        learner, self._experience = self.learner, experience
        old_classes = torch.tensor(
            self.old_classes, dtype=torch.int64, device=self.parts.device.torch
        )
        learner.begin(experience)
        for place, rows in places(experience, self.config, self._plan(experience), start):
            inputs = learner.inputs(rows.x, place)
            logits = learner.forward(inputs, place)
            targets = one_hot(rows.y, logits.shape[1]).to(logits.dtype)
            if learner.previous is not None:
                before = learner.previous(inputs) / self.config.temperature
                targets[:, old_classes] = before.sigmoid()[:, old_classes]
            loss = self._loss(learner.masked(logits, rows.y), targets)
            step = learner.update(loss, logits, rows.y, place, rows.replayed)
            self.outdate()
            yield step
        learner.end(experience)
        learner.snapshot()
        self.old_classes = sorted({*self.old_classes, *experience.classes})
        self._offer(self.memory, experience)
        self._experience = None
        self.outdate()

    def _loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The binary cross-entropy of all outputs. [B, C], [B, C] -> []"""
        loss = binary_cross_entropy_with_logits(logits, targets, reduction="sum")
        return loss / (logits.numel() if self.config.outputs == "mean" else len(logits))

    def _plan(self, experience: Experience) -> Callable[[int], Minibatches[Mixed]]:
        """The minibatches of each epoch: current rows and exemplars, shuffled together."""
        held = self.memory.exemplars
        held = held.select(held.key.argsort())  # an order that no class's number decides
        device, rows = self.parts.device, (len(experience.train.y), len(held))
        current = DevicePatterns(experience.train, device)
        remembered = DevicePatterns(Patterns(held.x, held.y), device)
        joint = partial(joint_rows, *rows, self.config, self.parts.seed, experience.index)

        def plan(epoch: int) -> Minibatches[Mixed]:
            numbers = joint(epoch)
            new, old = numbers.current, remembered.minibatches(numbers.memory)
            return MixedMinibatches(new, current.minibatches(new), old.__getitem__)

        return plan

    def _offer(self, memory: ReplayMemory, experience: Experience) -> None:
        memory.offer(experience.train, experience.index, self.learner.extract)

    def exemplars(self) -> Table:
        """Those stored; within an experience, those that its end would store now."""
        if self._experience is None:
            return self.memory.exemplars
        memory, macs = copy(self.memory), self.learner.train_macs
        self._offer(memory, self._experience)
        self.learner.train_macs = macs  # it was no part of learning
        return memory.exemplars

    def views(self, x: Tensor) -> Sequence[Tensor]:
        return [x, x.flip(3)] if self.config.flip_means else [x]

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "old_classes": list(self.old_classes)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.old_classes, self._experience = list(state["old_classes"]), None
        super().load_state_dict(state)
