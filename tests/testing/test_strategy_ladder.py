"""The ladder that users inherit: a sound strategy passes it, each fault falls from its own rung."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest import SkipTest

import pytest

from clrun.testing import StrategyLadder

RUNGS = [name for name in dir(StrategyLadder) if name.startswith("test_")]
FAULTY = '''
from collections import Counter

import torch

from clrun.strategies.naive import Naive
from clrun.strategies.step import START


class Sound(Naive):
    """Naive training by another name."""


class DrawsGlobally(Naive):
    def learn(self, experience, start=START):
        for step in super().learn(experience, start):
            self.learner.model.output.bias.data += 0.001 * torch.rand(1)
            yield step


class ForgetsItsPlace(Naive):
    def learn(self, experience, start=START):
        return super().learn(experience)


class LearnsFromPredicting(Naive):
    def predict(self, x):
        self.learner.model.output.bias.data += 0.01
        return super().predict(x)


class LooksAtTheWholeMinibatch(Naive):
    def predict(self, x):
        logits = super().predict(x)
        return logits - logits.mean()


class LearnsNothing(Naive):
    def learn(self, experience, start=START):
        for step in super().learn(experience, start):
            self.learner.model.output.weight.data.zero_()
            yield step


class CountsWrong(Naive):
    def memory_rows(self):
        return {"rows": 2, "bytes": 8, "per_class": {0: 1}, "per_experience": {0: 2}}


class SaysPlacesTwice(Naive):
    def learn(self, experience, start=START):
        for step in super().learn(experience, start):
            yield step._replace(iteration=0)


class OneSeedForAll(Naive):
    def __init__(self, config, parts):
        import dataclasses
        super().__init__(config, dataclasses.replace(parts, seed=0))
'''
FALLS = {
    "DrawsGlobally": "leaves_the_global_generators_alone",
    "ForgetsItsPlace": "a_resumed_run",
    "LearnsFromPredicting": "evaluations_in_between",
    "LooksAtTheWholeMinibatch": "predictions",
    "LearnsNothing": "a_repeated_minibatch",
    "CountsWrong": "what_is_stored",
    "SaysPlacesTwice": "every_update",
    "OneSeedForAll": "another_seed",
}


@pytest.fixture(scope="module")
def conf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of options, one for each class, with the code beside it."""
    folder = tmp_path_factory.mktemp("faulty") / "conf"
    (folder / "strategy").mkdir(parents=True)
    (folder.parent / "faulty_strategies.py").write_text(FAULTY)
    for name in ("Sound", *FALLS):
        (folder / "strategy" / f"{name}.yaml").write_text(
            f"# A strategy.\ndefaults: [_descent, _self_]\ntarget: faulty_strategies:{name}\n"
        )
    return folder


def ladder(name: str, conf: Path) -> Any:
    """The tests of a user who inherits them."""
    body = {"option": name, "config_dirs": (conf,), "above_naive": -0.01}
    return type("TestMine", (StrategyLadder,), body)()


@pytest.mark.parametrize("name", FALLS)
def test_a_fault_is_found_and_a_sound_strategy_passes(name: str, conf: Path) -> None:
    (rung,) = [each for each in RUNGS if FALLS[name] in each]

    getattr(ladder("Sound", conf), rung)()
    with pytest.raises(AssertionError):
        getattr(ladder(name, conf), rung)()


def test_one_without_descent_is_spared_what_is_about_it() -> None:
    with pytest.raises(SkipTest, match="strategy=ncm does not descend"):
        ladder("ncm", Path()).test_a_repeated_minibatch_is_learnt()
