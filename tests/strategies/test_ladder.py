"""What holds of every option of conf/strategy; a new one joins by being there.

Users inherit the rungs that make sense for any strategy from `clrun.testing`.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from clrun.config.option_file import read_option
from clrun.config.sources import options
from clrun.images.patterns import Patterns
from clrun.strategies.step import Step
from clrun.testing.states import accuracy, differing, global_generators, learn, losses

OPTIONS = [option.name for option in options("strategy")]
DESCENT = [name for name in OPTIONS if "lr" in read_option("strategy", name).keys]
SOLVED = [name for name in OPTIONS if name not in DESCENT]
"""They see each row once, and solve for what they predict with."""
SMALL = ("model.hidden=[32]", "benchmark.limit_per_class=40", "strategy.train_epochs=3")
"""Three updates an epoch on two classes of 40 rows, three epochs an experience."""

SGD = ("strategy.lr=0.05", "strategy.momentum=0.9", "strategy.l2=0.001")
ADAM = ("strategy.optimizer=adam", "strategy.momentum=0", "strategy.lr=0.002")
RANDOM = (
    "model.dropout=0.25",
    "benchmark.augment=crop_flip",
    "strategy.plugins=[{name: si, ewc_lambda: 100}]",
)
ONLINE = ("strategy.memory_update=minibatch",)
EWC = "strategy.plugins=[{name: ewc, ewc_lambda: 5, mode: %s, fisher_rows: 20, %s}]"
MAS = "strategy.plugins=[{name: mas, mas_rows: 20}]"
RESUMED = {
    **{f"{name}-sgd": (name, *SMALL, *SGD, *RANDOM) for name in OPTIONS},
    **{f"{name}-adam": (name, *SMALL, *ADAM, *RANDOM) for name in DESCENT},
    "replay-ewc": ("replay", *SMALL, *ADAM, *RANDOM, EWC % ("separate", "fisher: sample")),
    "ar1-ewc": ("ar1", *SMALL, *SGD, *RANDOM, EWC % ("online, gamma: 0.9", "exclude: [output]")),
    "lwf-mas": ("lwf", *SMALL, *SGD, *RANDOM, MAS, "strategy.active=experience"),
    "naive-fp16": ("naive", *SMALL, *SGD, *RANDOM, "device.precision=fp16"),
    "naive-cosine": ("naive", *SMALL, *ADAM, *RANDOM, "strategy.schedule=cosine"),
    "ar1-step": (
        *("ar1", *SMALL, *SGD, *RANDOM, "strategy.head_lr_factor=3"),
        *("strategy.schedule=step", "strategy.schedule_milestones=[1,2]"),
    ),
    "naive-separate": ("naive", *SMALL, *ADAM, *RANDOM, "strategy.active=experience"),
    "replay-separate": ("replay", *SMALL, *SGD, *RANDOM, "strategy.active=experience"),
    "ar1-separate": ("ar1", *SMALL, *ADAM, *RANDOM, "strategy.active=experience"),
    "lwf-separate": ("lwf", *SMALL, *SGD, *RANDOM, "strategy.active=experience"),
    "naive-wa": ("naive", *SMALL, *SGD, *RANDOM, "strategy.head_correction=wa"),
    "replay-bic": ("replay", *SMALL, *SGD, *RANDOM, "strategy.head_correction=bic"),
    "der-bic": ("der", *SMALL, *SGD, *RANDOM, "strategy.head_correction=bic"),
    "der-seen": ("der", *SMALL, *SGD, *RANDOM, "strategy.active=seen"),
    "ar1-cwr-plus": (
        *("ar1", *SMALL, *ADAM, *RANDOM, "strategy.head=cwr_plus", "strategy.freeze_from=never"),
    ),
    "ar1-cwr": ("ar1", *SMALL, *SGD, *RANDOM, "strategy.head=cwr", "strategy.ewc_lambda=5"),
    "replay-online": ("replay", *SMALL, *SGD, *RANDOM, *ONLINE, "storage_policy=reservoir"),
    "naive-updates": ("naive", *SMALL[:2], *SGD, *RANDOM, "strategy.train_iterations=10"),
    "der-passes": ("der", *SMALL, *ADAM, *RANDOM, "strategy.updates_per_minibatch=2"),
    "replay-online-passes": (
        *("replay", *SMALL[:2], *SGD, *RANDOM, *ONLINE, "storage_policy=reservoir"),
        *("strategy.updates_per_minibatch=3", "strategy.train_iterations=20"),
    ),
    "replay-herding": (
        "replay",
        *(*SMALL, *ADAM, *RANDOM, "storage_policy=class_balanced", "selection=herding"),
        *("strategy.mem_size=30", "strategy.mix=add", "strategy.balance=class"),
    ),
    "replay-online-closest": (
        "replay",
        *(*SMALL, *ADAM, *RANDOM, *ONLINE, "storage_policy=class_balanced"),
        *("selection=closest_to_center", "strategy.mem_size=30"),
    ),
}


class Promise(NamedTuple):
    """What a method claims to be good for."""

    above_naive: float = 0.4
    """how much higher its accuracy on digits is at the end than that of naive training"""
    scenario: str = "nc"
    """of five experiences of digits, each learnt for two epochs"""
    scored: slice = slice(None)
    """the experiences that its accuracy is about"""
    updates: int = 20
    """that 20 epochs on one minibatch of 32 rows make"""
    least: float = 0.0
    """that no model's loss can be below; half of what is above it is gone after them"""
    words: tuple[str, ...] = ()
    """that it takes for that"""


PROMISES = {
    "naive": Promise(above_naive=0.0),
    # without rows of old classes it cannot tell them from new ones; what it keeps are its answers
    "lwf": Promise(above_naive=0.1, scenario="permuted", scored=slice(1)),
    "gdumb": Promise(updates=40),  # of 16 rows
    "icarl": Promise(words=("strategy.lr=2",)),  # its loss is a mean over outputs
    "scr": Promise(
        least=3.43,  # rows share it: of 32 rows of a class each has 31 others, and log 31 is left
        words=(
            *("strategy.train_mb_size=32", "strategy.memory_update=experience"),
            "strategy.view=none",
        ),
    ),
    # the loss on old rows does not rise, which does not tell them from classes to come
    "agem": Promise(above_naive=0.1, scenario="permuted", scored=slice(1)),
}
"""Of methods that do not promise the usual; a new one promises that."""


class Uninterrupted(NamedTuple):
    """A run to its end, with its state after each update of the experience `at`."""

    at: int
    steps: list[Step]
    states: list[dict[str, Any]]
    end: dict[str, Any]


def exhaust(steps: Iterable[Step]) -> list[Step]:
    return list(steps)


def test_the_keys_of_every_option_are_read_without_torch():
    targets = [read_option("strategy", name).target for name in OPTIONS]
    program = (
        "import sys; from clrun.config.schema import config_class; "
        f"[config_class(target) for target in {targets}]; sys.exit('torch' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize("name", SOLVED)
def test_rows_that_were_counted_are_told_apart(name, trial):
    strategy, stream, _ = trial(name, "model.hidden=[32]")

    learn(strategy, stream[:1])

    hits = strategy.predict(stream[0].train.x).argmax(1) == stream[0].train.y
    assert float(hits.double().mean()) > 0.95


@pytest.mark.parametrize("name", DESCENT)
def test_a_repeated_minibatch_is_learnt(name, trial):
    promised = promise(name)
    words = ("strategy.train_epochs=20", "model.hidden=[32]", *SGD, *promised.words)
    strategy, stream, _ = trial(name, *words)
    rows = torch.arange(32) * (len(stream[0].train.y) // 32)
    minibatch = Patterns(stream[0].train.x[rows], stream[0].train.y[rows])

    steps = exhaust(strategy.learn(replace(stream[0], train=minibatch)))

    assert len(steps) == promised.updates
    first, last = (losses(steps)[k] - promised.least for k in (0, -1))
    assert last < first / 2


@pytest.mark.parametrize("name", OPTIONS)
def test_the_same_seed_gives_the_same_bits(name, trial):
    strategy, stream, _ = trial(name, *SMALL, *SGD, *RANDOM)
    again, _, _ = trial(name, *SMALL, *SGD, *RANDOM)

    steps, steps_again = learn(strategy, stream[:3]), learn(again, stream[:3])

    assert losses(steps) == losses(steps_again)
    assert differing(strategy.state_dict(), again.state_dict()) == []


@pytest.mark.parametrize("name", OPTIONS)
def test_another_seed_gives_other_updates_even_from_the_same_weights(name, trial):
    strategy, stream, _ = trial(name, *SMALL)
    other, _, _ = trial(name, *SMALL, "seed=1")
    other.load_state_dict(deepcopy(strategy.state_dict()))

    steps, other_steps = learn(strategy, stream[:1]), learn(other, stream[:1])

    assert losses(steps) != losses(other_steps)


def promise(name: str) -> Promise:
    return PROMISES.get(name, Promise())


@cache
def final_accuracies(trial, name: str, scenario: str) -> list[float]:
    """The accuracy on each experience after the last one."""
    words = ("strategy.train_epochs=2", f"benchmark.scenario={scenario}")
    strategy, stream, benchmark = trial(name, *words)
    learn(strategy, stream)
    return [accuracy(strategy, [experience]) for experience in benchmark]


def test_naive_forgets_all_but_the_newest_of_five_experiences(trial):
    assert 0.1 < np.mean(final_accuracies(trial, "naive", "nc")) < 0.4


@pytest.mark.parametrize("name", [name for name in OPTIONS if name != "naive"])
def test_a_strategy_beats_naive_as_it_promises(name, trial):
    promised = promise(name)

    ours, naives = (
        np.mean(final_accuracies(trial, each, promised.scenario)[promised.scored])
        for each in (name, "naive")
    )

    assert ours > naives + promised.above_naive


@pytest.mark.parametrize("name", OPTIONS)
def test_evaluation_changes_no_state_and_no_mode(name, trial):
    strategy, stream, _ = trial(name, *SMALL, *ADAM, *RANDOM)
    learn(strategy, stream[:1])
    before = deepcopy(strategy.state_dict())

    strategy.predict(stream[0].test.x)

    assert differing(before, strategy.state_dict()) == []


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("model", [(), ("model=cnn", "model.channels=[4]", "model.norm=batch")])
def test_evaluations_in_between_leave_the_training_as_it_is(name, model, trial):
    words = (*(SMALL[1:] if model else SMALL), *SGD, *model, "model.dropout=0.5")
    strategy, stream, _ = trial(name, *words)
    evaluated, _, _ = trial(name, *words)

    learn(strategy, stream[:2])
    for experience in stream[:2]:
        for _ in evaluated.learn(experience):
            evaluated.predict(experience.test.x)

    assert differing(strategy.state_dict(), evaluated.state_dict()) == []


@pytest.mark.parametrize("name", OPTIONS)
def test_predictions_do_not_depend_on_the_rows_beside_them(name, trial):
    strategy, stream, _ = trial(name, *SMALL[1:], "model=cnn", "model.norm=batch")
    learn(strategy, stream[:1])
    x = stream[0].test.x[:20]

    together, alone = strategy.predict(x), torch.cat([strategy.predict(row) for row in x.split(1)])

    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    assert together.dtype == torch.float32
    assert not together.requires_grad


@cache
def uninterrupted(trial, case: str) -> Uninterrupted:
    strategy, stream, _ = trial(*RESUMED[case])
    at = min(1, len(stream) - 1)
    learn(strategy, stream[:at])
    steps, states = [], []
    for step in strategy.learn(stream[at]):
        steps.append(step)
        states.append(deepcopy(strategy.state_dict()))
    learn(strategy, stream[at + 1 : at + 2])
    return Uninterrupted(at, steps, states, deepcopy(strategy.state_dict()))


PLACES = ["first", "middle", "last but one", "epoch", "next", "all"]
"""Where a run is left; at two of them where keys alone differ from an option's first case."""
LEFT = [
    (case, place)
    for case in RESUMED
    for place in (PLACES if case.endswith("-sgd") else ["middle", "next"])
]


@pytest.mark.parametrize(("case", "updates"), LEFT)
def test_a_resumed_run_goes_on_as_if_nothing_had_happened(case, updates, trial):
    whole = uninterrupted(trial, case)
    in_epoch = whole.steps[0].iterations
    made = {
        "first": 1,
        "middle": in_epoch // 2,
        "last but one": in_epoch - 1,
        "epoch": in_epoch,
        "next": in_epoch + 1,
        "all": len(whole.steps),
    }[updates]
    made = min(made, len(whole.steps))
    resumed, stream, _ = trial(*RESUMED[case])
    resumed.load_state_dict(deepcopy(whole.states[made - 1]))
    resumed.recall(stream[: whole.at])

    steps = exhaust(resumed.learn(stream[whole.at], whole.steps[made - 1].following))
    learn(resumed, stream[whole.at + 1 : whole.at + 2])

    assert [step[2:] for step in steps] == [step[2:] for step in whole.steps[made:]]
    assert losses(steps) == losses(whole.steps[made:])
    assert differing(resumed.state_dict(), whole.end) == []


@pytest.mark.parametrize("name", OPTIONS)
def test_training_leaves_the_global_generators_alone(name, trial):
    strategy, stream, _ = trial(name, *SMALL, *SGD, *RANDOM)
    before = global_generators()

    learn(strategy, stream[:2])
    strategy.predict(stream[0].test.x)

    assert global_generators() == before


@pytest.mark.parametrize("name", OPTIONS)
def test_every_update_is_told_in_order(name, trial):
    strategy, stream, _ = trial(name, *SMALL)

    steps = exhaust(strategy.learn(stream[0]))

    in_epoch, epochs = steps[0].iterations, range(3 if name in DESCENT else 1)
    assert [(s.epoch, s.iteration) for s in steps] == [
        (epoch, iteration) for epoch in epochs for iteration in range(in_epoch)
    ]
    assert {s.iterations for s in steps} == {in_epoch}
    assert [s.epoch for s in steps if s.ends_epoch] == list(epochs)
    assert all(0 <= int(s.correct) <= s.patterns for s in steps)
    assert all(0 <= s.replayed <= s.patterns for s in steps)


BY_DESCENT = [name for name in OPTIONS if "train_iterations" in read_option("strategy", name).keys]
THRICE = "strategy.train_epochs=3"
LENGTHS = {
    (THRICE,): lambda n: (n, n, n),
    (THRICE, "strategy.drop_last=true"): lambda n: (n - 1, n - 1, n - 1),
    (THRICE, "strategy.updates_per_minibatch=2"): lambda n: (2 * n, 2 * n, 2 * n),
    ("strategy.updates_per_minibatch=2", "strategy.train_iterations=17"): lambda n: (
        2 * n,
        min(2 * n, 17 - 2 * n),
        *([17 - 4 * n] if 4 * n < 17 else []),
    ),
    ("strategy.drop_last=true", "strategy.train_iterations=1"): lambda n: (1,),
}
"""Keys -> the updates of each epoch, where an epoch has n minibatches, the last of them short."""


@pytest.mark.parametrize("words", LENGTHS)
@pytest.mark.parametrize("name", BY_DESCENT)
def test_how_long_an_experience_is_learnt_is_for_the_keys_to_say(name, words, trial):
    strategy, stream, _ = trial(name, *SMALL[:2], *words)
    rows = Patterns(stream[0].train.x[:79], stream[0].train.y[:79])
    minibatches = -(-79 // strategy.config.train_mb_size)

    steps = exhaust(strategy.learn(replace(stream[0], train=rows)))

    epochs = LENGTHS[words](minibatches)
    expected = [(e, i, n) for e, n in enumerate(epochs) for i in range(n)]
    assert [step[4:7] for step in steps] == expected


@pytest.mark.parametrize("name", OPTIONS)
def test_what_is_stored_is_counted_by_class_and_by_experience(name, trial):
    strategy, stream, _ = trial(name, *SMALL)
    learn(strategy, stream[:2])

    held = strategy.memory_rows()

    assert set(held) == {"rows", "bytes", "per_class", "per_experience"}
    assert sum(held["per_class"].values()) == held["rows"]
    assert sum(held["per_experience"].values()) == held["rows"]
    assert (held["bytes"] > 0) == (held["rows"] > 0)
