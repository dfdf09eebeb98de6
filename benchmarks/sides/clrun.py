"""clrun as it is run, on a stream made of given arrays.

The whole runner is measured: composed configuration, raw log, evaluation after each experience,
run folder. Only where the images come from differs from a run on the command line.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

import clrun
from clrun.images.patterns import Patterns
from clrun.images.transforms import Transform
from clrun.runner.prepare import Prepared, build, prepare
from clrun.runner.run import run
from clrun.seeds import isolated
from clrun.streams.experience import Benchmark, Experience, StreamShape
from sides.arrays import experiences
from sides.measure import Meter
from sides.watch import TimedSteps, watch

AR1_KEYS = ("rm_sz", "inc_lr", "ewc_lambda", "init_update_rate", "inc_update_rate", "inc_step")
STRATEGY_KEYS = {"ar1": (*AR1_KEYS, "max_r_max", "max_d_max"), "replay": ("mem_size",)}


class Given:
    """A benchmark of arrays that are in memory already."""

    def __init__(self, case: dict[str, Any]) -> None:
        self.case = case
        data = case["data"]
        self._shape = StreamShape(
            channels=data["channels"],
            height=data["side"],
            width=data["side"],
            num_classes=data["classes"],
            num_experiences=data["experiences"],
        )

    def shape(self) -> StreamShape:
        return self._shape

    def check(self) -> None:
        """Nothing can be missing."""

    def load(self, seed: int, on_progress: Any = None) -> Benchmark:
        return self._benchmark

    @cached_property
    def _benchmark(self) -> Benchmark:
        channels, classes = self._shape.channels, self._shape.num_classes
        mean, deviation = (self.case["mean"],) * channels, (self.case["std"],) * channels
        made = []
        for index, rows in enumerate(experiences(self.case)):
            train_x, train_y, test_x, test_y = map(torch.from_numpy, rows)
            made.append(
                Experience(
                    index=index,
                    classes=tuple(train_y.unique().tolist()),
                    task_label=0,
                    train=Patterns(train_x, train_y),
                    test=Patterns(test_x, test_y),
                )
            )
        return Benchmark(
            name="given",
            shape=self._shape,
            class_names=tuple(map(str, range(classes))),
            experiences=made,
            transform=Transform(mean, deviation, "none"),
        )


class TimedEvaluation:
    """An evaluation that counts as a phase of its own."""

    def __init__(self, evaluation: Any, meter: Meter) -> None:
        self._evaluation, self._meter = evaluation, meter

    def __getattr__(self, name: str) -> Any:
        return getattr(self._evaluation, name)

    def scores(self, *args: Any, **kwargs: Any) -> Any:
        with self._meter.phase("eval"):
            return self._evaluation.scores(*args, **kwargs)


def overrides(case: dict[str, Any], folder: str) -> list[str]:
    """The case in the words of the command line."""
    keys = (*STRATEGY_KEYS[case["kind"]], "lr", "momentum", "l2")
    words = [f"strategy={case['kind']}", "benchmark=digits", f"model={case['model']}"]
    words += [f"strategy.{key}={case[key]}" for key in keys]
    words += [f"strategy.train_mb_size={case['mb']}", f"strategy.train_epochs={case['epochs']}"]
    words += ["device=cpu", f"device.threads={case['threads']}", f"seed={case['seed']}"]
    words += [f"output_root={folder}", "eval.initial=false"]  # the others do not score it either
    if case["kind"] == "replay":
        words += ["strategy.mix=add", "strategy.balance=none"]
        words += [f"{group}={case[group]}" for group in ("storage_policy", "selection")]
    return words + case.get("words", [])


def prepared(case: dict[str, Any], folder: str) -> Prepared:
    """The run, on the arrays given, with a model of their shape."""
    ready, given = prepare(clrun.compose(overrides(case, folder))), Given(case)
    with isolated(case["seed"], "weights"):
        model = build(ready.config.nodes["model"], given.shape())
    return dataclasses.replace(ready, benchmark=given, model=model)


def measure(case: dict[str, Any]) -> dict[str, Any]:
    """Run clrun on the stream; what is not evaluation is training."""
    with tempfile.TemporaryDirectory() as folder:
        ready, steps = prepared(case, folder), TimedSteps()
        if case.get("watch_steps"):
            watch(ready.config, steps)
        ready.benchmark.load(case["seed"])  # in memory before anything is measured
        meter = Meter()
        ready = dataclasses.replace(ready, evaluation=TimedEvaluation(ready.evaluation, meter))
        _ = ready.data, ready.hardware  # known before a run starts
        with meter.phase("train"):
            results = run(ready, Path(folder) / "run")
        for seconds in (meter.cpu, meter.wall):
            seconds["train"] -= seconds["eval"]
        cost = json.loads((Path(folder) / "run" / "results.json").read_text())["cost"]
    state = {name: p.detach().numpy() for name, p in ready.model.named_parameters()}
    np.savez(case["final_weights"], **state)
    found = {"accuracy": results.metrics["acc_final"], "patterns": cost["patterns_seen"]}
    return meter.report() | found | (steps.report() if steps.medians else {})
