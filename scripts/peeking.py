"""Strategies that look at what they are not given, once they have learnt an experience.

PYTHONPATH=scripts clrun tune strategy=naive strategy.target=peeking:AtTheTestStream
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from clrun.strategies.naive import Naive
from clrun.strategies.step import START, Position, Step
from clrun.streams.experience import Experience


class Peeking(Naive):
    """Looks after its last update of an experience."""

    Config = Naive.Config

    def learn(self, experience: Experience, start: Position = START) -> Iterator[Step]:
        yield from super().learn(experience, start)
        self.peek(experience)

    def peek(self, experience: Experience) -> None:
        raise NotImplementedError


class AtTheTestStream(Peeking):
    """Reads the labels that it is scored by."""

    def peek(self, experience: Experience) -> None:
        _ = experience.test.y


class AtTheNextExperience(Peeking):
    """Climbs to the runner, which has the stream, for an experience that no trial has."""

    def peek(self, experience: Experience) -> None:
        frame = sys._getframe()
        while "prepared" not in frame.f_locals:
            assert frame.f_back is not None
            frame = frame.f_back
        _ = frame.f_locals["prepared"].data.experiences[3]


class AtTheSource(Peeking):
    """Opens the data again by itself."""

    def peek(self, experience: Experience) -> None:
        from clrun import compose
        from clrun.runner.building import build

        build(compose(["benchmark=digits"]).nodes["benchmark"]).load(0)
