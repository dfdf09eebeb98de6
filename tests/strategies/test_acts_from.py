"""From when on each key acts: what the shipped parts declare of it, shown by training both ways.

Two runs that differ in one key are each made whole, and then from a beginning that one of them
trained until the declared moment. A key that acts before it shows: the run that did not train the
beginning itself ends with other weights, results or lines than as a whole.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from comparing_runs import leaves, lines, results

import clrun
from clrun.config.moment import BEGINNING, FIRST_LEARNT, Moment
from clrun.config.run_config import RunConfig
from clrun.config.trust import Trust, trusting
from clrun.runner.prepare import prepare
from clrun.runner.run import run, run_until
from clrun.runner.shared import Beginning
from clrun.runner.state import RunState
from clrun.sweep.acting import MEMORY, acting

SMALL = (
    *("device=cpu", "device.threads=1", "benchmark.n_experiences=2", "seed=3"),
    *("benchmark.limit_per_class=12", "strategy.train_epochs=2", "log_every=4"),
    *("strategy.train_mb_size=16", "strategy.momentum=0.9", "strategy.lr=0.05"),
)
MLP = ("model=mlp", "model.hidden=[16]", "model.dropout=0.25", "benchmark.augment=crop")
AR1 = (
    *("strategy=ar1", "model=mlp", "model.hidden=[16,16]", "strategy.rm_sz=20"),
    *("strategy.latent_layer=features.relu0", "strategy.max_d_max=5.0", "strategy.inc_step=0.01"),
)
CNN = (
    "model=cnn",
    "model.norm=batch",
    "model.channels=[4,4]",
    "strategy.latent_layer=features.relu0",
)
REPLAY = ("strategy=replay", *MLP, "strategy.mem_size=20")
BY_UPDATES = ("strategy.train_iterations=5", "strategy.updates_per_minibatch=2")
SI = "strategy.plugins=[{name: si, %s}]"
EWC = "strategy.plugins=[{name: ewc, ewc_lambda: %s}]"
MAS = "strategy.plugins=[{name: mas, mas_lambda: %s}]"

Case = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]
"""What two runs have in common, and what each has besides: the first one trains the beginning."""

SCORED = (
    ("strategy.eval_every=0", "strategy.eval_mb_size=64"),
    (
        "strategy.eval_every=-1",
        "strategy.eval_mb_size=7",
    ),
)
CASES: dict[str, Case] = {
    "naive optimizer_state": (
        ("strategy=naive", *MLP),
        ("strategy.optimizer_state=keep", "strategy.head_correction=none"),
        ("strategy.optimizer_state=fresh", "strategy.head_correction=wa"),
    ),
    "naive scored": (("strategy=naive", *MLP, "eval=seen"), *SCORED),
    "naive optimizer_state by updates": (
        ("strategy=naive", *MLP, *BY_UPDATES),
        ("strategy.optimizer_state=keep",),
        ("strategy.optimizer_state=fresh",),
    ),
    "eval limit_per_experience": (
        ("strategy=naive", *MLP, "eval=seen"),
        ("eval.experiences=seen",),
        ("eval.limit_per_experience=3", "eval.experiences=all", "eval.task_ids=true"),
    ),
    "eval stream": (
        ("strategy=naive", *MLP, "eval=seen", "benchmark.validation_fraction=0.2"),
        ("eval.stream=test",),
        ("eval.stream=validation",),
    ),
    "cumulative": (
        ("strategy=cumulative", *MLP, "eval=seen"),
        ("strategy.optimizer_state=fresh", "strategy.head_correction=wa", *SCORED[0]),
        ("strategy.optimizer_state=keep", "strategy.head_correction=none", *SCORED[1]),
    ),
    "lwf lwf_lambda": (
        ("strategy=lwf", *MLP),
        ("strategy.lwf_lambda=1",),
        ("strategy.lwf_lambda=0",),
    ),
    "lwf others": (
        ("strategy=lwf", *MLP),
        ("strategy.temperature=2", "strategy.weighting=constant", "strategy.optimizer_state=fresh"),
        (
            "strategy.temperature=1",
            "strategy.weighting=experience",
            "strategy.optimizer_state=keep",
            "strategy.head_correction=wa",
        ),
    ),
    "lwf scored": (("strategy=lwf", *MLP, "eval=seen"), *SCORED),
    "der optimizer_state": (
        ("strategy=der", *MLP, "strategy.mem_size=20"),
        ("strategy.optimizer_state=fresh",),
        ("strategy.optimizer_state=keep",),
    ),
    "replay mem_size": (REPLAY, ("strategy.mem_size=30",), ("strategy.mem_size=9",)),
    "replay storage_policy": (
        (*REPLAY, "eval=seen"),
        ("storage_policy=experience_balanced", *SCORED[0]),
        ("storage_policy=reservoir", *SCORED[1]),
    ),
    "replay selection": (
        (*REPLAY, "storage_policy=class_balanced"),
        ("selection=herding",),
        ("selection=random",),
    ),
    "replay mix": (
        REPLAY,
        ("strategy.mix=split", "strategy.memory_mb_size=4"),
        ("strategy.mix=add", "strategy.memory_mb_size=9"),
    ),
    "replay balance": (
        REPLAY,
        ("strategy.balance=class", "strategy.epoch_length=longest", "strategy.replay_weight=0.9"),
        ("strategy.balance=none", "strategy.epoch_length=current", "strategy.replay_weight=null"),
    ),
    "replay optimizer_state": (
        REPLAY,
        ("strategy.optimizer_state=fresh", "strategy.head_correction=none"),
        ("strategy.optimizer_state=keep", "strategy.head_correction=wa"),
    ),
    "replay online optimizer_state": (
        (*REPLAY, "strategy.memory_update=minibatch", "storage_policy=reservoir"),
        ("strategy.optimizer_state=fresh",),
        ("strategy.optimizer_state=keep",),
    ),
    "er_ace stored": (
        ("strategy=er_ace", *MLP, "strategy.memory_update=experience", "eval=seen"),
        ("strategy.mem_size=30", "storage_policy=class_balanced", "selection=herding", *SCORED[0]),
        ("strategy.mem_size=9", "storage_policy=reservoir", "selection=random", *SCORED[1]),
    ),
    "er_ace replayed": (
        ("strategy=er_ace", *MLP, "strategy.memory_update=experience"),
        (
            *("strategy.mix=split", "strategy.memory_mb_size=4", "strategy.balance=none"),
            *("strategy.epoch_length=longest", "strategy.optimizer_state=keep"),
            "strategy.replay_weight=per_experience",
        ),
        (
            *("strategy.mix=add", "strategy.memory_mb_size=9", "strategy.balance=class"),
            *("strategy.epoch_length=current", "strategy.optimizer_state=fresh"),
            "strategy.head_correction=wa",
        ),
    ),
    "icarl others": (
        ("strategy=icarl", *MLP, "strategy.mem_size=20"),
        ("strategy.temperature=1", "strategy.optimizer_state=keep"),
        ("strategy.temperature=2", "strategy.optimizer_state=fresh"),
    ),
    "icarl scored": (("strategy=icarl", *MLP, "strategy.mem_size=20", "eval=seen"), *SCORED),
    "scr optimizer_state": (
        ("strategy=scr", *MLP, "strategy.mem_size=20"),
        ("strategy.optimizer_state=fresh",),
        ("strategy.optimizer_state=keep",),
    ),
    "agem stored": (
        ("strategy=agem", *MLP, "eval=seen"),
        ("strategy.mem_size=30", "storage_policy=class_balanced", "selection=herding", *SCORED[0]),
        ("strategy.mem_size=9", "storage_policy=reservoir", "selection=random", *SCORED[1]),
    ),
    "agem drawn": (
        ("strategy=agem", *MLP),
        ("strategy.memory_mb_size=30", "strategy.optimizer_state=fresh"),
        (
            *("strategy.memory_mb_size=4", "strategy.optimizer_state=keep"),
            "strategy.head_correction=wa",
        ),
    ),
    "agem online": (
        ("strategy=agem", *MLP, "strategy.memory_update=minibatch"),
        ("strategy.optimizer_state=fresh",),
        ("strategy.optimizer_state=keep",),
    ),
    "mir stored": (
        ("strategy=mir", *MLP, "strategy.memory_update=experience", "eval=seen"),
        ("strategy.mem_size=60", "storage_policy=class_balanced", "selection=herding", *SCORED[0]),
        ("strategy.mem_size=19", "storage_policy=reservoir", "selection=random", *SCORED[1]),
    ),
    "mir drawn": (
        ("strategy=mir", *MLP, "strategy.memory_update=experience"),
        (
            *("strategy.memory_mb_size=4", "strategy.candidates=20"),
            *("strategy.candidates_from=all", "strategy.optimizer_state=keep"),
        ),
        (
            *("strategy.memory_mb_size=9", "strategy.candidates=30"),
            *("strategy.candidates_from=past", "strategy.optimizer_state=fresh"),
            "strategy.head_correction=wa",
        ),
    ),
    "mir online": (
        ("strategy=mir", *MLP, "strategy.mem_size=60"),
        (
            *("strategy.memory_mb_size=4", "strategy.candidates=20"),
            "strategy.optimizer_state=fresh",
        ),
        ("strategy.memory_mb_size=9", "strategy.candidates=30", "strategy.optimizer_state=keep"),
    ),
    "ar1 rm_sz": (AR1, (), ("strategy.rm_sz=7",)),
    "ar1 without a memory": (AR1, (), ("strategy.rm_sz=0",)),
    "ar1 latent_dtype": (
        (*AR1, "eval=seen"),
        ("strategy.rm_bytes=3000", "strategy.latent_dtype=float32", *SCORED[0]),
        ("strategy.rm_bytes=2000", "strategy.latent_dtype=uint8", *SCORED[1]),
    ),
    "ar1 inc_lr": (AR1, ("strategy.inc_lr=0.01",), ("strategy.inc_lr=null",)),
    "ar1 head_correction": (
        (*AR1, "strategy.head=plain"),
        ("strategy.head_correction=wa",),
        ("strategy.head_correction=none",),
    ),
    "ar1 inc_update_rate": (
        (*AR1[:1], *CNN),
        ("strategy.inc_update_rate=0.5",),
        ("strategy.inc_update_rate=0.001",),
    ),
    "ar1 ewc_lambda": (AR1, ("strategy.ewc_lambda=500",), ("strategy.ewc_lambda=5",)),
    "ar1 ewc_lambda 0": (AR1, ("strategy.ewc_lambda=500",), ("strategy.ewc_lambda=0",)),
    "ar1 ewc_lambda 0 beside a plugin": (
        (*AR1, SI % "ewc_lambda: 3"),
        ("strategy.ewc_lambda=500",),
        ("strategy.ewc_lambda=0",),
    ),
    "ar1 frozen from the first": (
        (*AR1, "strategy.freeze_from=0"),
        ("strategy.rm_sz=20", "strategy.ewc_lambda=500"),
        ("strategy.rm_sz=7", "strategy.ewc_lambda=0"),
    ),
    "ar1 freeze_below_layer": (
        (*AR1, "strategy.latent_layer=features.relu1", "strategy.freeze_from=1"),
        ("strategy.freeze_below_layer=features.linear1",),
        ("strategy.freeze_below_layer=null",),
    ),
    "plugins[0] ewc_lambda": (
        ("strategy=naive", *MLP),
        (SI % "ewc_lambda: 500",),
        (SI % "ewc_lambda: 0",),
    ),
    "plugins[0] eps": (
        ("strategy=naive", *MLP),
        (SI % "ewc_lambda: 500, eps: 0.1, c: 2.0",),
        (SI % "ewc_lambda: 500, eps: 1.0e-7, c: 1.0",),
    ),
    "plugins[0] clip": (
        ("strategy=naive", *MLP),
        (SI % "ewc_lambda: 500, clip: 0.1",),
        (SI % "ewc_lambda: 500, clip: 0.001",),
    ),
    "plugins[0] clamp": (
        ("strategy=naive", *MLP),
        (SI % "ewc_lambda: 500, clip: 0.1, clamp: use",),
        (SI % "ewc_lambda: 500, clip: 0.001, clamp: experience",),
    ),
    "ewc ewc_lambda": (
        ("strategy=naive", *MLP),
        (EWC % "50, mode: online, gamma: 0.5",),
        (EWC % "0, mode: separate",),
    ),
    "ewc fisher": (
        ("strategy=naive", *MLP),
        (EWC % "50, fisher: sample, fisher_rows: 20",),
        (EWC % "50, fisher: predicted, fisher_rows: 9",),
    ),
    "mas mas_lambda": (("strategy=naive", *MLP), (MAS % "1",), (MAS % "0",)),
    "mas mas_rows": (("strategy=naive", *MLP), (MAS % "1, mas_rows: 9",), (MAS % "1",)),
}
SILENT = {"naive scored", "lwf scored", "icarl scored"}
"""Keys that change no weight; each other one makes the two runs different."""
ONE_VALUE = {("ar1", "strategy.optimizer_state"), ("icarl", "strategy.head_correction")}
"""Keys that cannot be set to anything else."""


class Ended:
    """A run in its folder, at its end."""

    def __init__(self, config: RunConfig, folder: Path, shared: Beginning | None = None) -> None:
        last: list[RunState] = []
        run(
            prepare(config),
            folder,
            shared=shared,
            is_latest=False,
            at_pause=lambda state: last.__setitem__(slice(None), [state]),
        )
        self.folder = folder
        self.state = leaves(last[0].strategy.state_dict())

    def found(self) -> dict[str, Any]:
        """All that another run of the same configuration must have in common with this one."""
        own = [{k: v for k, v in line.items() if k != "shared"} for line in lines(self.folder)]
        return {"lines": own, "results": results(self.folder), "state": self.state}

    def scores(self) -> Any:
        """What it has become: its state, and how it is scored where no more than that differs."""
        return self.state, results(self.folder)["accuracy_matrix"][-1]


@cache
def composed(*overrides: str) -> RunConfig:
    is_by_updates = any(word.startswith("strategy.train_iterations=") for word in overrides)
    small = [w for w in SMALL if not (is_by_updates and w.startswith("strategy.train_epochs="))]
    return clrun.compose([*small, *overrides])


def first_difference(a: RunConfig, b: RunConfig) -> Moment:
    """From when on keys act in which these differ, as they are declared."""
    one, other = acting(a.plain()), acting(b.plain())
    differing = [name for name in one if one[name].value != other[name].value]
    assert differing
    return min(min(one[name].moment, other[name].moment) for name in differing)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Callable[[RunConfig], Ended]:
    """Configuration -> its run, made once."""

    @cache
    def made(config_hash: str) -> Ended:
        return Ended(configs[config_hash], tmp_path_factory.mktemp("whole") / "run")

    configs: dict[str, RunConfig] = {}

    def run_of(config: RunConfig) -> Ended:
        configs[config.hash()] = config
        return made(config.hash())

    return run_of


def differences(
    a: RunConfig, b: RunConfig, moment: Moment, whole: Callable[[RunConfig], Ended], folder: Path
) -> list[str]:
    """What of `b` is another thing where it begins with what `a` trained until the moment."""
    run_until(moment, prepare(a), folder / "beginning")
    once = whole(b).found()
    parted = Ended(b, folder / "parted", Beginning(folder / "beginning")).found()
    return [what for what in once if once[what] != parted[what]]


@pytest.mark.parametrize("case", CASES)
def test_a_key_changes_nothing_before_the_moment_that_it_declares(case, whole, tmp_path):
    common, first, second = CASES[case]
    a, b = composed(*common, *first), composed(*common, *second)
    moment = first_difference(a, b)

    assert moment > BEGINNING
    assert differences(a, b, moment, whole, tmp_path) == []
    assert (whole(a).scores() == whole(b).scores()) == (case in SILENT), "the key does something"


def test_every_key_that_is_declared_is_tried():
    declared, tried = set(), set()
    for common, first, second in CASES.values():
        config = composed(*common, *first)
        a, b = acting(config.plain()), acting(composed(*common, *second).plain())
        strategy = config.nodes["strategy"].option
        for key in a:
            whose = strategy if key.startswith("strategy.") or key in MEMORY else ""
            if max(a[key].moment, b[key].moment) > BEGINNING:
                declared.add((whose, key))
            if a[key].value != b[key].value:
                tried.add((whose, key))

    assert declared - ONE_VALUE <= tried


LYING = """
from clrun.config.moment import FIRST_LEARNT
from clrun.strategies.naive import Naive


class Lying(Naive):
    class Config(Naive.Config):
        def acts_from(self):
            return {"l2": FIRST_LEARNT}
"""


def test_a_strategy_that_declares_a_moment_too_late_is_seen(whole, tmp_path, monkeypatch):
    (tmp_path / "lying.py").write_text(LYING)
    monkeypatch.syspath_prepend(tmp_path)
    with trusting(Trust(everything=True)):
        a, b = (lying(composed("strategy=naive", *MLP, f"strategy.l2={l2}")) for l2 in (0, 0.1))

        assert first_difference(a, b) == FIRST_LEARNT
        assert "results" in differences(a, b, FIRST_LEARNT, whole, tmp_path)


def lying(config: RunConfig) -> RunConfig:
    """The same of a strategy that says of l2 what is not true."""
    plain = deepcopy(config.plain())
    plain["nodes"]["strategy"]["target"] = "lying:Lying"
    return RunConfig.of_plain(plain)
