"""MIR: of some remembered rows, those are replayed that the update to come would harm most.

Aljundi et al. 2019, "Online Continual Learning with Maximally Interfered Retrieval",
https://arxiv.org/abs/1908.04742. Each update draws `candidates` rows from the memory and takes a
virtual step on the current rows, w' = w - lr * gradient. The candidates whose loss would rise most,

    score(u, v) = loss(f_w'(u), v) - loss(f_w(u), v)                         (MI-1)

are replayed: the update follows the gradient on current rows plus that on those, each a mean, at w.

The virtual step is one of plain descent with the step size of the update, whatever the optimizer:
momentum, moments and weight decay have no part in it (as in the authors' code; penalties of plugins
have). Scores are taken in evaluation mode on the augmented images that are then replayed, so that
no running statistics change and no dropout is drawn; in the authors' code, Avalanche and RaptorMai
these passes change BatchNorm's statistics. The authors' second score, which keeps the lowest loss
that a row ever had, is not offered here.

`candidates_from: past` leaves out rows of the experience in progress, as the authors do, so that
nothing is replayed in the first one; `all` needs no boundaries. Where no more candidates are drawn
than replayed, nothing is scored, and it is replay with a mean for each kind of rows. The memory is
a reservoir that rows are offered to as they pass; Avalanche's is class-balanced and filled when an
experience ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from clrun.config.bounds import Rows
from clrun.config.moment import SECOND, Moment
from clrun.memory.row_order import take_rows
from clrun.strategies.criterion import row_losses
from clrun.strategies.descent import MemoryStrategy
from clrun.strategies.device_patterns import shuffled, shuffled_updates
from clrun.strategies.drawn_keys import DrawnKeys
from clrun.strategies.drawn_memory import DrawnMemory
from clrun.strategies.learner import Learner
from clrun.strategies.places import Place, places
from clrun.strategies.schedule import rate
from clrun.strategies.step import START, Position, Step
from clrun.strategies.strategy import Ahead, Parts
from clrun.streams.experience import Experience


class MIR(MemoryStrategy):
    """Descent on current rows and on the remembered ones that they interfere with most."""

    @dataclass(frozen=True, kw_only=True)
    class Config(DrawnKeys):
        memory_mb_size: Rows | None
        candidates: Rows
        candidates_from: Literal["past", "all"]

        def __post_init__(self) -> None:
            super().__post_init__()
            if self.candidates < self.replayed:
                raise ValueError(
                    f"candidates={self.candidates}: fewer than the {self.replayed} rows to choose "
                    "of them. Use at least as many, or a smaller strategy.memory_mb_size."
                )

        @property
        def replayed(self) -> int:
            """Memory rows in an update."""
            return self.memory_mb_size or self.train_mb_size

        def acts_from(self) -> Mapping[str, Moment]:
            drawn = ("memory_mb_size", "candidates", "candidates_from")
            found = self.drawn_acts_from(*drawn)
            if self.candidates_from == "past":  # in the first experience there are none
                found |= dict.fromkeys(drawn[:2], SECOND)
            return found

    def __init__(self, config: Config, parts: Parts) -> None:
        self.config, self.parts = config, parts
        self.learner = Learner(config, parts)
        self.past = DrawnMemory(config, parts, self.learner)
        self.memory = self.past.memory

    @classmethod
    def updates(cls, config: Config, ahead: Ahead) -> Sequence[int]:
        return shuffled_updates(config, map(len, ahead.labels), ahead.seed)

    def learn(self, experience: Experience, start: Position = START) -> Iterator[Step]:
        """Train on the experience's rows and on those of the memory that they interfere with."""
        experience = self.without_held_out(experience)
        learner, c = self.learner, self.config
        plan = shuffled(experience, c, self.parts.device, self.parts.seed)
        learner.begin(experience)
        for place, rows in places(experience, c, plan, start):
            logits = learner.forward(learner.inputs(rows.x, place), place)
            update = learner.prepare(logits, rows.y, place)
            total = learner.gradients(learner.loss(logits, rows.y), update)
            drawn = self.past.drawn(c.candidates, place, of_past=c.candidates_from == "past")
            if len(drawn):
                inputs, y = self._chosen(learner.inputs(drawn.x, place), drawn.y, place)
                answers = learner.forward(inputs, place)
                seen = torch.cat([logits, answers]).detach()
                update = learner.prepare(seen, torch.cat([rows.y, y]), place, replayed=len(y))
                parameters = [p for p in learner.part.parameters() if p.requires_grad]
                own = [p.grad for p in parameters]
                loss = learner.gradients(learner.loss(answers, y), update, penalised=False)
                total = total + loss
                add(parameters, own)
            learner.apply(update)
            self.past.after_update(rows, place)
            yield update.step(total)
        learner.end(experience)
        self.past.after_experience(experience)

    @torch.no_grad()
    def _chosen(self, inputs: Tensor, y: Tensor, place: Place) -> tuple[Tensor, Tensor]:
        """The rows [N, ...] of classes [N] that a step along the gradients there are would harm
        most, as many as are replayed, the most harmed first."""
        if len(y) <= self.config.replayed:
            return inputs, y
        lr = self.config.lr * rate(self.config, place)
        named = {n: p for n, p in self.learner.part.named_parameters() if p.grad is not None}
        gradients = [p.grad for p in named.values() if p.grad is not None]
        stepped = torch._foreach_add(list(named.values()), gradients, alpha=-lr)
        harm = self._rise(inputs, y, dict(zip(named, stepped, strict=True)))
        chosen = harm.argsort(descending=True, stable=True)[: self.config.replayed]
        return take_rows(inputs, chosen), y[chosen]

    def _rise(self, inputs: Tensor, y: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """By how much the loss of each row is higher with these parameters. [N]"""
        learner, criterion = self.learner, self.config.criterion
        before, after = (learner.masked(z, y) for z in learner.answers(inputs, parameters))
        return row_losses(criterion, after, y) - row_losses(criterion, before, y)


@torch.no_grad()
def add(parameters: Sequence[nn.Parameter], gradients: Sequence[Tensor | None]) -> None:
    """Add gradients of before to those that the parameters have."""
    for parameter, gradient in zip(parameters, gradients, strict=True):
        if parameter.grad is None:
            parameter.grad = gradient
        elif gradient is not None:
            parameter.grad += gradient
