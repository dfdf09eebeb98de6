"""A run folder in which nothing is wrong, written by hand; tests break one thing of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clrun.doctor.checks import checked
from clrun.doctor.evidence import evidence


class Files:
    """The content of run.json, results.json and metrics.jsonl."""

    def __init__(self) -> None:
        values: dict[str, dict[str, Any]] = {
            "strategy": {"lr": 0.1, "mem_size": 200, "max_r_max": 1.25, "max_d_max": 0.5},
            "benchmark": {"normalize": True},
            "model": {"pretrained": False},
        }
        values["strategy"]["inc_step"] = 4.1e-05
        options = {"strategy": "replay", "benchmark": "digits", "model": "mlp"}
        self.record: dict[str, Any] = {
            "status": "completed",
            "error": None,
            "label": "replay-digits-s0",
            "config": {
                "nodes": {
                    group: {"option": option, "values": values[group]}
                    for group, option in options.items()
                }
            },
            "data": {
                "class_names": ["ant", "bee", "cat", "dog"],
                "inputs": {"mean": [0.02], "std": [0.98]},
            },
        }
        self.results: dict[str, Any] = {
            "metrics": {"acc_pooled": 0.9},
            "experiences": [{"test_rows": 70}, {"test_rows": 71}],
            "cost": {"wall_seconds": {"train": 60.0, "memory": 1.0, "eval": 20.0}},
        }
        self.epochs = [epoch(e, k, 2.0 / (k + 1), 0.5 + 0.4 * k) for e in (0, 1) for k in (0, 1)]
        self.experiences = [
            line("experience", 0, classes=[0, 1]),
            line("experience", 1, classes=[2, 3]),
        ]
        self.evals = [
            evaluation(None, [0.3, 0.2], [0.2, 0.4, 0.1, 0.3]),
            evaluation(0, [0.95, 0.0], [0.9, 1.0, 0.0, 0.0]),
            evaluation(1, [0.85, 0.95], [0.8, 0.9, 0.9, 1.0]),
        ]
        self.memory = [
            line("memory", 0, rows=200, per_class={"0": 100, "1": 100}),
            line("memory", 1, rows=200, per_class=dict.fromkeys("0123", 50)),
        ]

    def write(self, folder: Path) -> Path:
        """Write them."""
        folder.mkdir(exist_ok=True)
        (folder / "run.json").write_text(json.dumps(self.record))
        if self.results:
            (folder / "results.json").write_text(json.dumps(self.results))
        lines = [*self.epochs, *self.experiences, *self.evals, *self.memory]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / "metrics.jsonl").write_text(text)
        return folder


def line(kind: str, experience: int | None, **values: Any) -> dict[str, Any]:
    return {"kind": kind, "experience": experience, "epoch": None, **values}


def epoch(experience: int, number: int, loss: float, accuracy: float) -> dict[str, Any]:
    iteration = 20 * experience + 10 * number + 10
    made = line("epoch", experience, iteration=iteration, loss=loss, accuracy=accuracy)
    return {**made, "epoch": number}


def evaluation(
    experience: int | None, accuracy: list[float], classes: list[float]
) -> dict[str, Any]:
    return line("eval", experience, accuracy=accuracy, class_accuracy=classes)


@pytest.fixture
def files() -> Files:
    return Files()


@pytest.fixture
def found(files: Files, tmp_path: Path) -> Callable[..., dict[str, str]]:
    """A change of the healthy run -> check -> "what was seen -> what to do", where it finds
    something."""

    def look(change: Callable[[Files], Any] = lambda files: None) -> dict[str, str]:
        change(files)
        run = evidence(files.write(tmp_path / "run"))
        return {
            check.check: " / ".join(f"{f.seen} -> {f.advice}" for f in check.findings)
            for check in checked(run)
            if check.findings
        }

    return look
