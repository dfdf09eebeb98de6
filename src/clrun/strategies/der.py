"""DER and DER++: past rows keep the logits they once had, and the model is held to them.

Buzzega et al. 2020, "Dark Experience for General Continual Learning",
https://arxiv.org/abs/2004.07211, as the paper has it: nothing depends on where an experience ends.
Each update draws two minibatches from the memory, independently and uniformly. The first adds
`alpha` times the mean squared distance of its logits from the stored ones; the second, DER++'s,
`beta` times the criterion on its labels. After the update, in every epoch, the current rows are
offered to the memory with the logits they had before it, as augmented for it. Images are stored as
they are, and augmented anew when they come back. A term of weight 0 takes no forward pass.

The paper writes a squared norm; as in the authors' code it is divided by the number of classes too,
or of those outputs alone that `strategy.active` leaves to a row.
Its memory is a reservoir, here the default among all storage policies. Avalanche's DER is another:
one draw and one forward pass for all terms, a class-balanced memory that is filled when an
experience ends, with logits computed then. `passes: joint` has its one pass, in which BatchNorm
normalises current rows and stored ones together: current rows of few classes need it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from clrun.config.bounds import Count, NonNegative, Rows
from clrun.config.moment import SECOND, Moment
from clrun.images.patterns import Patterns
from clrun.memory.drawing import drawn_rows
from clrun.memory.table import Table
from clrun.strategies.descent import MemoryStrategy
from clrun.strategies.descent_keys import DescentKeys
from clrun.strategies.device_patterns import shuffled, shuffled_updates
from clrun.strategies.learner import Learner
from clrun.strategies.places import Place, is_last_pass, places
from clrun.strategies.row_measures import replay_memory
from clrun.strategies.step import START, Position, Step
from clrun.strategies.strategy import Ahead, Parts
from clrun.streams.experience import Experience


class DER(MemoryStrategy):
    """Descent on current rows, on the logits of some past rows and on the labels of others."""

    @dataclass(frozen=True, kw_only=True)
    class Config(DescentKeys):
        fits_bic: ClassVar[bool] = True
        tuned: ClassVar[Mapping[str, str]] = {
            **DescentKeys.tuned,
            "alpha": "0.1,0.2,0.5,1.0",
            "beta": "0.5,1.0",
        }
        mem_size: Count
        memory_mb_size: Rows | None
        alpha: NonNegative
        beta: NonNegative
        passes: Literal["separate", "joint"]

        def acts_from(self) -> Mapping[str, Moment]:
            return {"optimizer_state": SECOND}

    def __init__(self, config: Config, parts: Parts) -> None:
        self.config, self.parts = config, parts
        self.learner = Learner(config, parts)
        self.memory = replay_memory(config.mem_size, parts, self.learner)

    @classmethod
    def updates(cls, config: Config, ahead: Ahead) -> Sequence[int]:
        return shuffled_updates(config, map(len, ahead.labels), ahead.seed)

    def learn(self, experience: Experience, start: Position = START) -> Iterator[Step]:
        """Train on the experience, offering its rows to the memory as they pass."""
        experience = self.without_held_out(experience)
        learner, c = self.learner, self.config
        plan = shuffled(experience, c, self.parts.device, self.parts.seed)
        learner.begin(experience)
        for place, rows in places(experience, c, plan, start):
            distilled, labelled = self._drawn(place)
            logits, *answers = self._answers([rows.x, distilled.x, labelled.x], place)
            loss = learner.loss(logits, rows.y)
            if len(distilled):
                loss = loss + c.alpha * self._distance(answers[0], distilled)
            if len(labelled):
                loss = loss + c.beta * learner.loss(answers[1], labelled.y)
            seen = torch.cat([logits, *answers])
            y = torch.cat([rows.y, distilled.y, labelled.y])
            step = learner.update(loss, seen, y, place, replayed=len(y) - len(rows.y))
            if is_last_pass(place, c.updates_per_minibatch) and not learner.left_out:
                self._offer(rows, logits, place)
            yield step
        learner.end(experience)

    def _answers(self, rows: Sequence[Tensor], place: Place) -> Sequence[Tensor]:
        """The logits of each minibatch that has rows, of one that has none [0, C]."""
        inputs = [self.learner.inputs(x, place) if len(x) else x for x in rows]
        filled = [x for x in inputs if len(x)]
        if self.config.passes == "joint":
            filled = [torch.cat(filled)]
        logits = torch.cat([self.learner.forward(x, place) for x in filled])
        return logits.split([len(x) for x in rows])

    def _distance(self, logits: Tensor, rows: Table) -> Tensor:
        """The mean squared distance from the stored logits, over active outputs. [B, C] -> []"""
        before, active = rows["logits"], self.learner.active
        if active is None:
            return mse_loss(logits, before)
        inactive = active.inactive(rows.y).expand_as(logits)
        squares = (logits - before).square().masked_fill(inactive, 0)
        return squares.sum() / (~inactive).sum()

    def _drawn(self, place: Place) -> list[Table]:
        """A minibatch of the memory for each of the two terms, none for one of weight 0."""
        c = self.config
        size = min(c.memory_mb_size or c.train_mb_size, len(self.memory))
        rng = place.generator(self.parts.seed, "replayed rows")
        draws = [drawn_rows(self.memory, "none", size if w else 0, rng) for w in (c.alpha, c.beta)]
        return [rows.to(self.parts.device.torch) for rows in draws]

    def _offer(self, rows: Patterns[Tensor], logits: Tensor, place: Place) -> None:
        """Offer rows as they are, with the logits that they had before the update."""
        rng = place.generator(self.parts.seed, "memory")
        keys = torch.rand(len(rows.y), generator=rng, dtype=torch.float64)
        patterns, columns = Patterns(rows.x.cpu(), rows.y.cpu()), {"logits": logits}
        self.memory.offer(patterns, place.experience, self.learner.extract, keys, columns)
