"""What keys make of a composition is what composing them would have made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clrun.config import applied
from clrun.config.applied import Jobs
from clrun.config.compose import initialized
from clrun.config.hydra_errors import explained_errors
from clrun.config.sweep import Job, Sweep
from clrun.config.sweep_words import read_sweep
from clrun.errors import ConfigError

JOBS: Sequence[Job] = [
    ("strategy.lr=0.3", "seed=1"),
    ("seed=2",),
    ("seed=2", "seed=3"),
    ("strategy=ar1", "strategy.rm_sz=100", "strategy.ewc_lambda=0"),
    ("strategy.rm_sz=100", "strategy=ar1"),
    ("strategy=naive", "strategy.rm_sz=100"),
    ("experiment=ar1_digits", "seed=4", "strategy.lr=1"),
    ("experiment=ar1_digits", "experiment=null"),
    ("+experiment=ar1_digits",),
    ("model=cnn", "model.channels=[3,5]"),
    ("model.hidden=[1,2]", "model.hidden=[3]"),
    ("++strategy.lr=0.5",),
    ("+strategy.lr=0.5",),
    ("+strategy.plugins=[{name: si, ewc_lambda: 1}]",),
    ("strategy.plugins=[{name: si, ewc_lambda: ${seed}}]", "seed=7"),
    ("strategy.plugins=[{name: si}]",),
    ("strategy={lr: 0.7, l2: 0.01}",),
    ("++checkpoint={keep: 3}",),
    ("checkpoint.every_seconds=null", "checkpoint.every_steps=${seed}", "seed=3"),
    ("run_name=${strategy.lr}",),
    ("run_name='a b, c=d'",),
    ('run_name="it\'s"',),
    (r"run_name='a\\'",),
    ("run_name=${hydra:job.override_dirname}",),
    ("run_name=${hydra.overrides.task}",),
    ("run_name=${oc.env:HOME}",),
    ("run_name=${nothing}",),
    ("run_name=1",),
    ("run_name=true",),
    ("run_name=",),
    ("~run_name",),
    ("~run_name", "+run_name=x"),
    ("~checkpoint",),
    ("~strategy.lr",),
    ("~strategy.lr=0.05",),
    ("~strategy.lr=99",),
    ("~strategy",),
    ("~model",),
    ("+foo=1",),
    ("+strategy.foo=1",),
    ("+strategy.foo.bar=1",),
    ("strategy.foo=1",),
    ("strategy.foo=1", "model.bar=2"),
    ("foo=1",),
    ("strategy=none",),
    ("strategy=null",),
    ("strategy.lr=fast",),
    ("strategy.lr={a: 1}",),
    ("strategy.lr=[1,2]",),
    ("strategy.train_epochs=1.5",),
    ("strategy.mem_size=0",),
    ("seed=-1",),
    ("seed=[1]",),
    ("seed=${seed}",),
    ("seed=${strategy.train_epochs}",),
    ("device=cpu", "device.threads=2"),
    ("model@strategy=cnn",),
    ("strategy.lr@x=1",),
    ("benchmark.data_root=~/x",),
    ("storage_policy=reservoir", "selection=herding"),
    ("strategy.hidden=${model.hidden}",),
    ("model.hidden=${seed}",),
    ("strategy.lr=${oc.decode:'0.25'}",),
    ("strategy.lr=int(3)",),
    ("eval.stream=test", "eval=seen"),
]


@pytest.fixture(scope="module")
def sweep() -> Any:
    with initialized() as app:
        yield read_sweep(app, "config", ["strategy.train_epochs=1"])


def outcome(look: Callable[..., Any], *given: Any) -> object:
    """What comes of it: the configuration, or the lines of the error."""
    try:
        with explained_errors():
            config = look(*given).config
    except ConfigError as error:
        return error.problems
    return config.plain(), config.hash(), config.sweep, config.launcher


@pytest.mark.slow
def test_keys_give_what_composing_gives_whatever_was_applied_before(sweep: Sweep) -> None:
    jobs = Jobs(sweep)
    composed = {job: outcome(sweep.composed, job) for job in JOBS}

    right = [job for job in JOBS if not isinstance(composed[job], list)]
    assert len(right) > 20
    for job in [*JOBS, *reversed(right)]:
        assert outcome(jobs.found, job, 0) == composed[job], job


WORDS = sorted({word for job in JOBS for word in job})


@pytest.mark.slow
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(jobs=st.lists(st.lists(st.sampled_from(WORDS), max_size=4).map(tuple), max_size=3))
def test_any_words_together_give_what_composing_gives(sweep: Sweep, jobs: list[Job]) -> None:
    checking = Jobs(sweep)

    for job in jobs:
        assert outcome(checking.found, job, 0) == outcome(sweep.composed, job), job


def test_what_is_typed_for_a_job_is_in_its_folder() -> None:
    words = ["hydra.sweep.subdir=${hydra.job.num}_${hydra.job.override_dirname}_${seed}"]
    with initialized() as app:
        jobs = Jobs(read_sweep(app, "config", words), with_subfolder=True)
        names = [
            jobs.found(("strategy.lr=0.3", f"seed={seed}"), seed).subfolder for seed in range(3)
        ]

    assert names == [f"{seed}_seed={seed},strategy.lr=0.3_{seed}" for seed in range(3)]


def test_jobs_of_the_same_choices_are_composed_once(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    compositions: list[Job] = []
    tree_of = type(sweep).tree_of
    monkeypatch.setattr(
        type(sweep), "tree_of", lambda self, job: compositions.append(job) or tree_of(self, job)
    )
    jobs = Jobs(sweep)

    for strategy in ("naive", "replay"):
        for seed in range(20):
            jobs.found((f"strategy={strategy}", f"seed={seed}"), seed)

    assert compositions == [("strategy=naive",), ("strategy=replay",)]


def test_a_hydra_that_cannot_apply_words_composes_each(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(applied, "_apply", None)

    found = outcome(Jobs(sweep).found, ("seed=5",), 0)

    assert found == outcome(sweep.composed, ("seed=5",))
