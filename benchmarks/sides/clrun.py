"""clrun as it is run, on a stream made of given arrays.

The whole runner is measured: composed configuration, raw log, evaluation after each experience,
run folder. Only where the images come from differs from a run on the command line.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import clrun
from clrun.images.transforms import Transform
from clrun.runner.prepare import Prepared, ready
from clrun.runner.run import run
from clrun.streams.experience import Benchmark
from sides.arrays import experiences
from sides.measure import Meter
from sides.watch import TimedSteps, watch

AR1_KEYS = ("rm_sz", "inc_lr", "ewc_lambda", "init_update_rate", "inc_update_rate", "inc_step")
STRATEGY_KEYS: dict[str, tuple[str, ...]] = {
    "ar1": (*AR1_KEYS, "max_r_max", "max_d_max"),
    "replay": ("mem_size",),
    "naive": (),
}


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
    rows, data = experiences(case), case["data"]
    benchmark = Benchmark.of_arrays(
        [(r.train_x, r.train_y) for r in rows],
        [(r.test_x, r.test_y) for r in rows],
        class_names=[str(c) for c in range(data["classes"])],
        transform=Transform(
            (case["mean"],) * data["channels"], (case["std"],) * data["channels"], "none"
        ),
    )
    return ready(clrun.compose(overrides(case, folder)), benchmark=benchmark)


def measure(case: dict[str, Any]) -> dict[str, Any]:
    """Run clrun on the stream; what is not evaluation is training."""
    with tempfile.TemporaryDirectory() as folder:
        made, steps = prepared(case, folder), TimedSteps()
        if case.get("watch_steps"):
            watch(made.config, steps)
        meter = Meter()
        made = dataclasses.replace(made, evaluation=TimedEvaluation(made.evaluation, meter))
        _ = made.data, made.hardware  # known before a run starts
        with meter.phase("train"):
            results = run(made, Path(folder) / "run")
        for seconds in (meter.cpu, meter.wall):
            seconds["train"] -= seconds["eval"]
        cost = json.loads((Path(folder) / "run" / "results.json").read_text())["cost"]
    state = {name: p.detach().numpy() for name, p in made.model.named_parameters()}
    np.savez(case["final_weights"], **state)
    found = {"accuracy": results.metrics["acc_final"], "patterns": cost["patterns_seen"]}
    return meter.report() | found | (steps.report() if steps.medians else {})
