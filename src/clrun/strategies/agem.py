"""A-GEM: no update goes against the gradient of the loss on remembered rows.

Chaudhry et al. 2019, "Efficient Lifelong Learning with A-GEM", https://arxiv.org/abs/1812.00420.
With g the gradient of the loss on current rows, r that on rows drawn from the memory, and all
trainable parameters as one vector,

    g <- g - (g.r / r.r) r    where g.r < 0                                  (equation 11)

Remembered rows bend the update and are not learnt from. Penalties of plugins belong to g. What the
optimizer does comes after the projection: weight decay, momentum.

`memory_update: experience` is the paper's: a random subset of each experience is stored when it
ends (`storage_policy: experience_balanced`); the paper's 250 rows an experience are
`adaptive_size=false` with `num_experiences` and a `mem_size` 250 times that. `memory_update:
minibatch` with `storage_policy=reservoir` is A-GEM-R (Mammoth), whose memory holds rows of the
experience in progress too. Rows are drawn uniformly from the memory; Avalanche draws as many of
each experience, and Mammoth's A-GEM stores one minibatch of each. The two passes of an update are
apart, so BatchNorm normalises current and remembered rows each by their own statistics. With r = 0
nothing is projected; GMvandeVen/continual-learning adds 1e-7 to r.r instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from clrun.config.bounds import Rows
from clrun.config.moment import Moment
from clrun.strategies.descent import MemoryStrategy
from clrun.strategies.device_patterns import shuffled, shuffled_updates
from clrun.strategies.drawn_keys import DrawnKeys
from clrun.strategies.drawn_memory import DrawnMemory
from clrun.strategies.learner import Learner
from clrun.strategies.places import places
from clrun.strategies.step import START, Position, Step
from clrun.strategies.strategy import Ahead, Parts
from clrun.streams.experience import Experience


class AGEM(MemoryStrategy):
    """Descent on current rows, its gradients projected where remembered rows would suffer."""

    @dataclass(frozen=True, kw_only=True)
    class Config(DrawnKeys):
        memory_mb_size: Rows

        def acts_from(self) -> Mapping[str, Moment]:
            return self.drawn_acts_from("memory_mb_size")

    def __init__(self, config: Config, parts: Parts) -> None:
        self.config, self.parts = config, parts
        self.learner = Learner(config, parts)
        self.past = DrawnMemory(config, parts, self.learner)
        self.memory = self.past.memory

    @classmethod
    def updates(cls, config: Config, ahead: Ahead) -> Sequence[int]:
        return shuffled_updates(config, map(len, ahead.labels), ahead.seed)

    def learn(self, experience: Experience, start: Position = START) -> Iterator[Step]:
        """Train on the experience's rows, held to what the memory's rows allow."""
        experience = self.without_held_out(experience)
        learner, c = self.learner, self.config
        plan = shuffled(experience, c, self.parts.device, self.parts.seed)
        learner.begin(experience)
        for place, rows in places(experience, c, plan, start):
            logits = learner.forward(learner.inputs(rows.x, place), place)
            loss = learner.loss(logits, rows.y)
            past = self.past.drawn(c.memory_mb_size, place)
            if len(past):
                answers = learner.forward(learner.inputs(past.x, place), place)
                seen, y = torch.cat([logits, answers.detach()]), torch.cat([rows.y, past.y])
                update = learner.prepare(seen, y, place, replayed=len(past))
                learner.gradients(learner.loss(answers, past.y), update, penalised=False)
                parameters = [p for p in learner.part.parameters() if p.requires_grad]
                reference = [p.grad for p in parameters]
                total = learner.gradients(loss, update)
                project(parameters, reference)
            else:
                update = learner.prepare(logits, rows.y, place)
                total = learner.gradients(loss, update)
            learner.apply(update)
            self.past.after_update(rows, place)
            yield update.step(total)
        learner.end(experience)
        self.past.after_experience(experience)


@torch.no_grad()
def project(parameters: Sequence[nn.Parameter], reference: Sequence[Tensor | None]) -> None:
    """Take out of the parameters' gradients, as one vector, what points against the reference.

    Nothing waits for the device. A reference that is not finite leaves no finite gradient.
    """
    own, past = [], []
    for parameter, direction in zip(parameters, reference, strict=True):
        if direction is not None:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            own.append(parameter.grad)
            past.append(direction)
    g = torch.cat([gradient.flatten() for gradient in own])
    r = torch.cat([gradient.flatten() for gradient in past])
    r = r / r.abs().max().clamp(min=torch.finfo(r.dtype).tiny)  # its square would underflow
    along = g @ r
    r = r * torch.where(along < 0, along / (r @ r), 0)
    pieces = zip(r.split([gradient.numel() for gradient in own]), own, strict=True)
    torch._foreach_sub_(own, [piece.view(gradient.shape) for piece, gradient in pieces])
