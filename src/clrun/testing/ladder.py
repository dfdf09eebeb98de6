"""What holds of every strategy, as tests that a class of yours inherits:

    class TestMine(StrategyLadder):
        option = "mine"
        config_dirs = (Path(__file__).parent / "conf",)

`pytest` finds them in it. They train on a few digits for seconds. What they do not see: whether the
method is that of its paper, and how good it is on other data than these.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import ClassVar
from unittest import SkipTest

import torch

from clrun.images.patterns import Patterns
from clrun.strategies.step import Step
from clrun.testing.states import accuracy, differing, global_generators, learn, losses
from clrun.testing.trial import Trial, keys_of, trial

SMALL = ("model=mlp", "model.hidden=[32]")
FEW = ("benchmark.limit_per_class=40",)
RANDOM = ("model.dropout=0.25", "benchmark.augment=crop_flip")
"""What draws while it trains, and has to draw the same after a stop."""


class StrategyLadder:
    """The rungs; `option` names yours."""

    option: ClassVar[str]
    """of strategy=..."""
    config_dirs: ClassVar[Sequence[str | Path]] = ()
    """folders with options of your own; none for an installed package"""
    words: ClassVar[Sequence[str]] = ()
    """for every run of the ladder, e.g. "strategy.lr=0.05"; they come last"""
    above_naive: ClassVar[float] = 0.4
    """how much higher its accuracy is than that of naive training, after the whole stream"""
    scenario: ClassVar[str] = "nc"
    """of five experiences of digits, for that"""

    def trial(self, *words: str, option: str | None = None) -> Trial:
        """A fresh strategy with its stream; three epochs, where it has such a key."""
        chosen = f"strategy={option or self.option}"
        lasting = ("strategy.train_epochs=3",) if self._has("train_epochs") else ()
        ours = () if option else self.words
        return trial(chosen, *SMALL, *lasting, *words, *ours, config_dirs=self.config_dirs)

    def test_the_same_seed_gives_the_same_bits(self) -> None:
        (one, stream, _), (other, _, _) = (self.trial(*FEW, *RANDOM) for _ in range(2))

        steps, steps_again = learn(one, stream[:3]), learn(other, stream[:3])

        assert losses(steps) == losses(steps_again), "the losses are others"
        _require_equal(one.state_dict(), other.state_dict())

    def test_another_seed_gives_other_updates_even_from_the_same_weights(self) -> None:
        self._require_descent("makes no random choice")
        one, stream, _ = self.trial(*FEW)
        other, _, _ = self.trial(*FEW, "seed=1")
        other.load_state_dict(deepcopy(one.state_dict()))

        assert losses(learn(one, stream[:1])) != losses(learn(other, stream[:1]))

    def test_a_repeated_minibatch_is_learnt(self) -> None:
        self._require_descent("does not descend")
        strategy, stream, _ = self.trial("strategy.train_epochs=20")
        rows = torch.arange(32) * (len(stream[0].train.y) // 32)
        some = Patterns(stream[0].train.x[rows], stream[0].train.y[rows])

        found = losses(strategy.learn(replace(stream[0], train=some)))

        assert found[-1] < found[0] / 2, f"the loss was {found[0]:.3f} and is {found[-1]:.3f}"

    def test_it_is_better_than_naive_training(self) -> None:
        words = (f"benchmark.scenario={self.scenario}",)
        found = []
        for option in (None, "naive"):
            strategy, stream, benchmark = self.trial(*words, option=option)
            learn(strategy, stream)
            found.append(accuracy(strategy, benchmark))

        ours, naive = found
        assert ours > naive + self.above_naive, f"accuracy {ours:.3f}, naive {naive:.3f}"

    def test_evaluation_changes_no_state(self) -> None:
        strategy, stream, _ = self.trial(*FEW, *RANDOM)
        learn(strategy, stream[:1])
        before = deepcopy(strategy.state_dict())

        strategy.predict(stream[0].test.x)

        _require_equal(before, strategy.state_dict())

    def test_evaluations_in_between_leave_the_training_as_it_is(self) -> None:
        (one, stream, _), (other, _, _) = (self.trial(*FEW, *RANDOM) for _ in range(2))

        learn(one, stream[:2])
        for experience in stream[:2]:
            for _ in other.learn(experience):
                other.predict(experience.test.x)

        _require_equal(one.state_dict(), other.state_dict())

    def test_predictions_do_not_depend_on_the_rows_beside_them(self) -> None:
        strategy, stream, _ = self.trial(*FEW)
        learn(strategy, stream[:1])
        x = stream[0].test.x[:20]

        together, alone = strategy.predict(x), [strategy.predict(row) for row in x.split(1)]

        torch.testing.assert_close(together, torch.cat(alone), rtol=1e-4, atol=1e-5)
        assert not together.requires_grad, "predict keeps a graph for gradients"

    def test_a_resumed_run_goes_on_as_if_nothing_had_happened(self) -> None:
        whole, stream, _ = self.trial(*FEW, *RANDOM)
        at = min(1, len(stream) - 1)
        learn(whole, stream[:at])
        made: list[tuple[Step, dict[str, object]]] = [
            (step, deepcopy(whole.state_dict())) for step in whole.learn(stream[at])
        ]
        for k in sorted({0, made[0][0].iterations // 2, len(made) - 1}):
            resumed, _, _ = self.trial(*FEW, *RANDOM)
            resumed.load_state_dict(deepcopy(made[k][1]))
            resumed.recall(stream[:at])

            steps = list(resumed.learn(stream[at], made[k][0].following))

            assert losses(steps) == losses(step for step, _ in made[k + 1 :]), f"after {k + 1}"
            _require_equal(resumed.state_dict(), whole.state_dict())

    def test_training_leaves_the_global_generators_alone(self) -> None:
        strategy, stream, _ = self.trial(*FEW, *RANDOM)
        before = global_generators()

        learn(strategy, stream[:2])
        strategy.predict(stream[0].test.x)

        assert global_generators() == before, "torch, NumPy or random drew without a generator"

    def test_every_update_is_told_in_order(self) -> None:
        strategy, stream, _ = self.trial(*FEW)

        steps = learn(strategy, stream[:1])

        places = [(step.epoch, step.iteration) for step in steps]
        assert places == sorted(set(places)), "places come twice, or not in order"
        assert steps[-1].ends_epoch, "the last update does not end its epoch"
        assert all(0 <= int(s.correct) <= s.patterns and s.replayed <= s.patterns for s in steps)

    def test_what_is_stored_is_counted_by_class_and_by_experience(self) -> None:
        strategy, stream, _ = self.trial(*FEW)
        learn(strategy, stream[:2])

        held = strategy.memory_rows()

        assert sum(held["per_class"].values()) == held["rows"]
        assert sum(held["per_experience"].values()) == held["rows"]
        assert (held["bytes"] > 0) == (held["rows"] > 0)

    def _has(self, key: str) -> bool:
        return hasattr(keys_of(self.option, self.config_dirs), key)

    def _require_descent(self, reason: str) -> None:
        if not self._has("lr"):
            raise SkipTest(f"strategy={self.option} {reason}")


def _require_equal(state: object, other: object) -> None:
    found = differing(state, other)
    assert not found, f"not the same bits: {', '.join(found[:5])}"
