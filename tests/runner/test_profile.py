"""Runs under measurement: which phases, parts and traced updates a profile finds."""

from __future__ import annotations

import gzip
import json
import os
import signal
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import clrun
from clrun.config.sources import conf_root
from clrun.errors import NonFiniteLoss
from clrun.profiling.clocks import Clocks
from clrun.profiling.operators import OUTSIDE, operators
from clrun.profiling.report import measured_time
from clrun.profiling.spans import recorded_by
from clrun.profiling.window import Tracer, Window
from clrun.runner.interrupt import Interrupted
from clrun.runner.prepare import prepare
from clrun.runner.run import run as run_prepared


def window(**changed) -> Window:
    plain = Window(experience=4, warm_up=2, steps=6, shapes=False, memory=False, stacks=False)
    return plain._replace(**changed)


class Profiled(NamedTuple):
    """A measured run."""

    folder: Path
    phases: dict[str, Any]
    """as in summary.json"""
    tracer: Tracer

    @property
    def traced(self) -> tuple[int, int | None, int]:
        """(experience, first traced update, traced updates)"""
        return self.tracer.window.experience, self.tracer.first, self.tracer.steps


def profiled(config, folder: Path, display=None, clocks: Clocks | None = None, **changed):
    """A measured run in `folder`."""
    clocks = clocks or Clocks()
    with recorded_by(clocks), clocks.phase("other"):
        prepared = prepare(config)
        length = prepared.keys.updates
        tracer = Tracer(window(**changed), clocks, prepared.device.torch, length)
        clocks.trace = tracer.updates
        run_prepared(prepared, folder, display)
    return Profiled(folder, measured_time(clocks.phases), tracer)


@pytest.fixture(scope="module")
def replay(config_of, tmp_path_factory) -> Profiled:
    """A profiled replay run, made once."""
    return profiled(config_of(), tmp_path_factory.mktemp("profiled") / "run")


def without_clocks(results: dict) -> dict:
    kept = deepcopy(results)
    for name in ("wall_seconds", "cpu_seconds", "peak_rss_bytes"):
        del kept["cost"][name]
    return kept


@pytest.mark.parametrize("strategy", ["replay", "naive", "joint"])
def test_profiling_changes_no_numbers(strategy, replay, config_of, finished, tmp_path):
    words = [] if strategy == "replay" else [f"strategy={strategy}"]
    folder = replay.folder if strategy == "replay" else tmp_path / "run"
    if strategy != "replay":
        profiled(config_of(*words), folder, experience=0)

    results = json.loads((folder / "results.json").read_text())
    assert without_clocks(results) == without_clocks(finished(*words).results)


def test_phases_and_their_parts_add_up(replay):
    summary = replay.phases

    assert set(summary["phases"]) >= {"setup", "train", "memory", "eval", "write", "trace", "other"}
    for key in ("wall_seconds", "cpu_seconds"):
        total = sum(phase[key] for phase in summary["phases"].values())
        assert total == pytest.approx(summary[key], abs=1e-4)
        for phase in summary["phases"].values():
            parts = sum(part[key] for part in phase["parts"].values())
            assert parts == pytest.approx(phase[key], abs=1e-4)
    assert sum(phase["share"] for phase in summary["phases"].values()) == pytest.approx(1, abs=1e-4)


def test_the_parts_of_training_are_those_of_an_update(replay, finished):
    summary = replay.phases
    steps = finished().results["cost"]["train_steps"]

    train, trace = (summary["phases"][name]["parts"] for name in ("train", "trace"))

    for part in ("forward", "backward", "optimizer", "images", "loss", "rows", "strategy"):
        per_update = train["forward"]["calls"] and train[part]["calls"] / train["forward"]["calls"]
        assert train[part]["calls"] + trace[part]["calls"] == per_update * steps
        assert train[part]["wall_seconds"] > 0
    assert summary["phases"]["memory"]["parts"]["store"]["calls"] == 5
    assert summary["phases"]["memory"]["parts"]["selection"]["calls"] > 0
    assert summary["phases"]["eval"]["parts"]["forward"]["calls"] > 0


STRANGER = """
from dataclasses import dataclass

from clrun.strategies.device_patterns import shuffled
from clrun.strategies.learner import Learner
from clrun.strategies.naive import Naive
from clrun.strategies.places import places
from clrun.strategies.descent_keys import DescentKeys
from clrun.strategies.step import START


class Twice(Naive):
    @dataclass(frozen=True, kw_only=True)
    class Config(DescentKeys):
        pass

    def learn(self, experience, start=START):
        learner, parts = self.learner, self.parts
        plan = shuffled(experience, self.config, parts.device, parts.seed)
        learner.begin(experience)
        for place, rows in places(experience, self.config, plan, start):
            inputs = learner.inputs(rows.x, place)
            learner.forward(inputs, place)
            logits = learner.forward(inputs, place)
            yield learner.update(learner.loss(logits, rows.y), logits, rows.y, place)
        learner.end(experience)
"""


def test_a_strategy_of_another_package_is_timed_without_spans_of_its_own(tmp_path, monkeypatch):
    (tmp_path / "stranger.py").write_text(STRANGER)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "conf" / "strategy").mkdir(parents=True)
    naive = (conf_root() / "strategy" / "naive.yaml").read_text()
    text = naive.replace("clrun.strategies.naive:Naive", "stranger:Twice")
    (tmp_path / "conf" / "strategy" / "twice.yaml").write_text(text)
    words = ["strategy=twice", "strategy.train_epochs=1", "device=cpu"]
    config = clrun.compose(words, config_dirs=[tmp_path / "conf"], trust=True)

    run = profiled(config, tmp_path / "run", warm_up=0, steps=1)

    train = run.phases["phases"]["train"]["parts"]
    updates = train["optimizer"]["calls"]
    assert updates > 0
    assert train["forward"]["calls"] == 2 * updates
    for part in ("images", "loss", "backward", "rows"):
        assert train[part]["calls"] == updates


def test_the_trace_shows_operators_and_parts_of_the_traced_updates(replay, tmp_path):
    replay.tracer.save(tmp_path / "trace.json.gz")
    with gzip.open(tmp_path / "trace.json.gz") as file:
        names = [event.get("name") for event in json.load(file)["traceEvents"]]

    assert replay.traced == (4, 2, 6)
    assert names.count("aten::cross_entropy_loss") == 6
    assert names.count("aten::addmm") >= 6
    assert {"strategy", "forward", "backward", "optimizer"} <= set(names)
    found = {operator.name for operator in operators(replay.tracer.events())}
    assert {"aten::addmm", OUTSIDE} <= found
    assert [path.name for path in tmp_path.iterdir()] == ["trace.json.gz"]


def test_shapes_memory_and_stacks_are_there_when_asked_for(config_of, tmp_path):
    run = profiled(
        config_of("strategy=naive"), tmp_path / "run", shapes=True, memory=True, stacks=True
    )

    layers = [o for o in operators(run.tracer.events()) if o.name == "aten::addmm"]
    assert any(o.shapes.startswith("[[32]") for o in layers)
    assert any(o.self_cpu_bytes > 0 for o in layers)
    assert any("linear.py" in o.stack for o in layers)


def test_a_short_experience_has_a_shorter_warm_up(config_of, tmp_path):
    run = profiled(
        config_of("strategy=naive"), tmp_path / "run", experience=1, warm_up=1000, steps=3
    )

    assert run.tracer.steps == 3


def test_a_window_longer_than_the_experience_ends_with_it(config_of, tmp_path, finished):
    plain = finished("strategy=naive").of_kind("experience")[1]

    run = profiled(
        config_of("strategy=naive"), tmp_path / "run", experience=1, warm_up=0, steps=10**6
    )

    minibatch = config_of("strategy=naive").nodes["strategy"].config.train_mb_size
    assert run.traced == (1, 0, 2 * -(-plain["train_rows"] // minibatch))


def test_an_experience_of_one_update_has_no_trace_after_a_warm_up(config_of, tmp_path):
    config = config_of("strategy=naive", "strategy.train_mb_size=1000", "strategy.train_epochs=1")

    assert profiled(config, tmp_path / "run").traced == (4, None, 0)


class Interrupting:
    """A display that presses Ctrl-C in the middle of the traced updates."""

    def title(self, text: str) -> None:
        pass

    def step(self, pace) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    def evaluated(self, experience, experiences, row) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("words", "display", "error", "status"),
    [
        (("log_every=3",), Interrupting(), Interrupted, "interrupted"),
        (("strategy.lr=1e20",), None, NonFiniteLoss, "failed"),
    ],
)
def test_a_run_that_stops_inside_the_window_leaves_no_profiler_behind(
    words, display, error, status, config_of, tmp_path
):
    config = config_of("strategy=naive", *words)
    clocks = Clocks()

    with pytest.raises(error):
        profiled(config, tmp_path / "run", display, clocks, experience=0, warm_up=0, steps=10**6)

    assert clocks.mark is None
    assert clocks.open_ranges == []
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == status
    again = profiled(config_of("strategy=naive"), tmp_path / "again")
    assert again.tracer.steps == 6
    assert operators(again.tracer.events())


def test_the_parts_of_ar1_are_its_latents_its_head_and_its_penalty(config_of, tmp_path):
    words = ("strategy=ar1", "model=mlp", "strategy.latent_layer=features.relu0")
    config = config_of(*words, "strategy.rm_sz=50", "strategy.ewc_lambda=0.5")

    phases = profiled(config, tmp_path / "run").phases["phases"]

    assert {"latents", "forward", "loss", "backward", "optimizer", "plugins", "order"} <= set(
        phases["train"]["parts"]
    )
    assert {"head", "store"} <= set(phases["memory"]["parts"])
    assert {"latents", "forward"} <= set(phases["eval"]["parts"])
