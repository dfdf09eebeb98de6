"""Experience replay: a small memory of past rows, mixed into every minibatch.

Chaudhry et al. 2019, "On Tiny Episodic Memories in Continual Learning",
https://arxiv.org/abs/1902.10486. Which rows are kept is the storage policy's and the selection
strategy's business; how rows mix is `memory.minibatches`.

`memory_update: experience` stores rows when an experience ends, so its own rows are not replayed
during it; `minibatch` offers every row right after its first update, as online methods do.

The loss is the mean over all rows of a minibatch, as in the paper; `replay_weight` gives current
and replayed rows a mean each, with weights (van de Ven et al.: 1/T and 1 - 1/T).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from clrun.config.moment import Moment
from clrun.strategies.descent import MemoryStrategy
from clrun.strategies.learner import Learner
from clrun.strategies.places import Place, places
from clrun.strategies.rehearsal import Mixed, Rehearsal
from clrun.strategies.rehearsal_plan import rehearsal_updates
from clrun.strategies.replay_weight import WeightedReplayKeys
from clrun.strategies.step import START, Position, Step
from clrun.strategies.strategy import Ahead, Parts
from clrun.streams.experience import Experience


class Replay(MemoryStrategy):
    """Minibatch descent on current and remembered rows together."""

    @dataclass(frozen=True, kw_only=True)
    class Config(WeightedReplayKeys):
        fits_bic: ClassVar[bool] = True

        def acts_from(self) -> Mapping[str, Moment]:
            return self.rehearsal_acts_from()

    config: WeightedReplayKeys

    def __init__(self, config: WeightedReplayKeys, parts: Parts) -> None:
        self.config = config
        self.learner = Learner(config, parts)
        self.rehearsal = Rehearsal(config, parts, self.learner)
        self.memory = self.rehearsal.memory

    @classmethod
    def updates(cls, config: WeightedReplayKeys, ahead: Ahead) -> Sequence[int]:
        return rehearsal_updates(config, ahead)

    def learn(self, experience: Experience, start: Position = START) -> Iterator[Step]:
        """Train on the experience mixed with the memory, and let the memory choose from it."""
        experience = self.without_held_out(experience)
        learner, rehearsal = self.learner, self.rehearsal
        learner.begin(experience)
        for place, rows in places(experience, self.config, rehearsal.plan(experience), start):
            inputs = learner.inputs(rows.x, place)
            logits = learner.forward(inputs, place)
            loss = self._loss(logits, rows, place)
            step = learner.update(loss, logits, rows.y, place, rows.replayed)
            rehearsal.after_update(experience, place, rows)
            yield step
        learner.end(experience)
        rehearsal.after_experience(experience)

    def _loss(self, logits: Tensor, rows: Mixed, place: Place) -> Tensor:
        """The mean loss of all rows, or the weighted sum of those of current and replayed ones."""
        weights = self.config.weights(place.experience)
        if weights is None or not rows.replayed:
            return self.learner.loss(logits, rows.y)
        new = len(rows.y) - rows.replayed
        current = self.learner.loss(logits[:new], rows.y[:new])
        replayed = self.learner.loss(logits[new:], rows.y[new:])
        return weights.current * current + weights.replayed * replayed
