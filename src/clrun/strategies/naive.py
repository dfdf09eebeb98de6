"""Fine-tuning on one experience after another, with nothing against forgetting: the lower bound."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from clrun.config.moment import Moment
from clrun.strategies.descent import DescentStrategy
from clrun.strategies.descent_keys import DescentKeys
from clrun.strategies.device_patterns import shuffled, shuffled_updates
from clrun.strategies.learner import Learner
from clrun.strategies.places import places
from clrun.strategies.step import START, Position, Step
from clrun.strategies.strategy import Ahead, Parts
from clrun.streams.experience import Experience


class Naive(DescentStrategy):
    """Minibatch descent on the current experience alone."""

    @dataclass(frozen=True, kw_only=True)
    class Config(DescentKeys):
        def acts_from(self) -> Mapping[str, Moment]:
            return self.descent_acts_from()

    def __init__(self, config: DescentKeys, parts: Parts) -> None:
        self.config, self.parts = config, parts
        self.learner = Learner(config, parts)

    @classmethod
    def updates(cls, config: DescentKeys, ahead: Ahead) -> Sequence[int]:
        return shuffled_updates(config, map(len, ahead.labels), ahead.seed)

    def learn(self, experience: Experience, start: Position = START) -> Iterator[Step]:
        """Train on the experience's rows in a fresh order each epoch."""
        learner = self.learner
        plan = shuffled(experience, self.config, self.parts.device, self.parts.seed)
        learner.begin(experience)
        for place, rows in places(experience, self.config, plan, start):
            inputs = learner.inputs(rows.x, place)
            logits = learner.forward(inputs, place)
            loss = learner.loss(logits, rows.y)
            yield learner.update(loss, logits, rows.y, place)
        learner.end(experience)
