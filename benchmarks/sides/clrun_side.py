"""clrun as it is run, on a stream made of given arrays: clrun_side.py CASE.json OUT.json.

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
import torch
from arrays import experiences
from measure import Meter, read_case, weights_file, write_result
from timed_steps import TimedSteps

import clrun
from clrun.images.patterns import Patterns
from clrun.images.transforms import Transform
from clrun.runner.prepare import Prepared, build, prepare
from clrun.runner.run import run
from clrun.seeds import isolated
from clrun.streams.experience import Benchmark, Experience, StreamShape


class Given:
    """A benchmark of arrays that are in memory already."""

    def __init__(self, case: dict[str, Any]) -> None:
        data = case["data"]
        self._shape = StreamShape(
            channels=data["channels"],
            height=data["side"],
            width=data["side"],
            num_classes=data["classes"],
            num_experiences=data["experiences"],
        )
        deviation, mean = (case["std"],) * data["channels"], (case["mean"],) * data["channels"]
        made = [
            _experience(index, [torch.from_numpy(array) for array in rows])
            for index, rows in enumerate(experiences(case))
        ]
        self._benchmark = Benchmark(
            name="given",
            shape=self._shape,
            class_names=tuple(map(str, range(data["classes"]))),
            experiences=made,
            transform=Transform(mean, deviation, "none"),
        )

    def shape(self) -> StreamShape:
        return self._shape

    def check(self) -> None:
        """Nothing can be missing."""

    def load(self, seed: int, on_progress: Any = None) -> Benchmark:
        return self._benchmark


def _experience(index: int, rows: list[torch.Tensor]) -> Experience:
    train_x, train_y, test_x, test_y = rows
    classes = tuple(train_y.unique().tolist())
    return Experience(
        index=index,
        classes=classes,
        task_label=0,
        train=Patterns(train_x, train_y),
        test=Patterns(test_x, test_y),
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
    strategy = {
        "ar1": (
            *("rm_sz", "inc_lr", "ewc_lambda", "init_update_rate", "inc_update_rate"),
            *("inc_step", "max_r_max", "max_d_max"),
        ),
        "replay": ("mem_size",),
    }[case["kind"]]
    words = [f"strategy={case['kind']}", "benchmark=digits", f"model={case['model']}"]
    words += [f"strategy.{key}={case[key]}" for key in (*strategy, "lr", "momentum", "l2")]
    words += [f"strategy.train_mb_size={case['mb']}", f"strategy.train_epochs={case['epochs']}"]
    words += ["device=cpu", f"device.threads={case['threads']}", f"seed={case['seed']}"]
    words += [f"output_root={folder}", "eval.initial=false"]  # the others do not score it either
    words += case.get("words", [])
    if case["kind"] == "replay":
        words += ["strategy.mix=add", "strategy.balance=none"]
        words += [f"{group}={case[group]}" for group in ("storage_policy", "selection")]
    return words


def prepared(case: dict[str, Any], folder: str) -> Prepared:
    """The run, on the arrays given, with a model of their shape."""
    ready = prepare(clrun.compose(overrides(case, folder)))
    given = Given(case)
    with isolated(case["seed"], "weights"):
        model = build(ready.config.nodes["model"], given.shape())
    return dataclasses.replace(ready, benchmark=given, model=model)


def main() -> None:
    case = read_case()
    with tempfile.TemporaryDirectory() as folder:
        ready = prepared(case, folder)
        steps = TimedSteps(ready) if case.get("watch_steps") else None
        meter = Meter()
        ready = dataclasses.replace(ready, evaluation=TimedEvaluation(ready.evaluation, meter))
        _ = ready.data, ready.pattern_macs  # known before a run starts
        with meter.phase("train"):
            results = run(ready, Path(folder) / "run")
        for told in (meter.cpu, meter.wall):
            told["train"] -= told["eval"]
        told = json.loads((Path(folder) / "run" / "results.json").read_text())
    state = {name: p.detach().numpy() for name, p in ready.model.named_parameters()}
    np.savez(weights_file(), **state)
    write_result(
        {
            **meter.report(),
            "accuracy": results.metrics["acc_final"],
            "patterns": told["cost"]["patterns_seen"],
            **(steps.report() if steps else {}),
        }
    )


if __name__ == "__main__":
    main()
