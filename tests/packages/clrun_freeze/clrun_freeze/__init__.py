"""A strategy from outside: it learns the first experiences and then stops learning."""

from __future__ import annotations

from dataclasses import dataclass

from clrun.config.bounds import Count
from clrun.strategies.descent_keys import DescentKeys
from clrun.strategies.naive import Naive
from clrun.strategies.step import START


class Freeze:
    @dataclass(frozen=True, kw_only=True)
    class Config(DescentKeys):
        learnt_experiences: Count

    def __init__(self, config, parts):
        shared = {key: value for key, value in vars(config).items() if key != "learnt_experiences"}
        self.learnt_experiences = config.learnt_experiences
        self.naive = Naive(Naive.Config(**shared), parts)
        self.state_dict = self.naive.state_dict
        self.load_state_dict = self.naive.load_state_dict

    def learn(self, experience, start=START):
        if experience.index < self.learnt_experiences:
            yield from self.naive.learn(experience, start)

    def predict(self, x):
        return self.naive.predict(x)
