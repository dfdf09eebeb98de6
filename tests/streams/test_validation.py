"""Training reads training rows: what it is given of other rows makes no difference to it."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

import clrun
from clrun.errors import LeakError
from clrun.images.patterns import Patterns
from clrun.profiling.seconds import Seconds
from clrun.runner.prepare import Prepared, build, prepare
from clrun.runner.run import run
from clrun.strategies.strategy import Parts
from clrun.streams.experience import Benchmark, merged

SMALL = ("device=cpu", "model=mlp", "model.hidden=[16]", "strategy.train_epochs=1")
STREAM = ("benchmark.limit_per_class=30", "benchmark.validation_fraction=0.2")
AR1 = ("strategy.latent_layer=features.relu0", "strategy.train_mb_size=32")
STRATEGIES = {
    "naive": (),
    "replay": ("selection=herding",),
    "ar1": AR1,
    "cumulative": (),
    "joint": (),
}


@cache
def prepared(name: str, *overrides: str) -> Prepared:
    return prepare(
        clrun.compose([f"strategy={name}", *SMALL, *STREAM, *STRATEGIES[name], *overrides])
    )


def poisoned(benchmark: Benchmark, *parts: str) -> Benchmark:
    """The same stream with other images, all of them, and wrong labels in the named parts."""

    def spoil(patterns: Patterns) -> Patterns:
        return Patterns(255 - patterns.x, (patterns.y + 1) % benchmark.shape.num_classes)

    experiences = [copy(e) for e in benchmark]
    for experience in experiences:
        for part in parts:
            object.__setattr__(experience, part, spoil(getattr(experience, part)))
    return replace(benchmark, experiences=experiences)


def learnt(prepared: Prepared, benchmark: Benchmark) -> dict[str, Any]:
    """The weights after the whole stream."""
    fresh = prepare(prepared.config)
    parts = Parts(
        model=fresh.device.place(fresh.model),
        transform=benchmark.transform,
        device=fresh.device,
        seed=0,
        num_classes=benchmark.shape.num_classes,
        storage_policy=fresh.storage_policy,
        selection=fresh.selection,
        plugins=(),
    )
    strategy = build(prepared.config.nodes["strategy"], parts)
    for experience in [merged(benchmark)] if strategy.whole_stream else benchmark:
        for _ in strategy.learn(experience):
            pass
    return fresh.model.state_dict()


@pytest.mark.parametrize("name", STRATEGIES)
def test_no_strategy_learns_from_test_or_validation_rows(name):
    of = prepared(name)

    clean = learnt(of, of.data)
    spoilt = learnt(of, poisoned(of.data, "test", "validation"))
    other = learnt(of, poisoned(of.data, "train"))

    assert all(torch.equal(value, spoilt[key]) for key, value in clean.items())
    assert any(not torch.equal(value, other[key]) for key, value in clean.items())


def scored(folder: Path, stream: str, *spoilt: str) -> list[list[float | None]]:
    """The accuracy matrix of a run whose named parts are poisoned."""
    of = prepare(clrun.compose(["strategy=naive", *SMALL, *STREAM, f"eval.stream={stream}"]))
    of.__dict__["_loaded"] = (poisoned(of.data, *spoilt), Seconds())
    return run(of, folder / "-".join([stream, *spoilt])).accuracy_matrix


def test_a_run_that_is_scored_on_test_rows_never_reads_the_validation_rows(tmp_path):
    clean = scored(tmp_path, "test")

    assert scored(tmp_path, "test", "validation") == clean
    assert scored(tmp_path, "test", "test") != clean


def test_a_run_that_is_scored_on_validation_rows_cannot_read_the_test_rows(tmp_path):
    clean = scored(tmp_path, "validation")

    assert scored(tmp_path, "validation", "validation") != clean
    with pytest.raises(LeakError, match=r"experiences\[0\]\.test"):
        scored(tmp_path, "validation", "test")
