"""Run folders as a run leaves them, with numbers of one's own."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

Write = Callable[..., Path]

CLASSES = ((0, 1), (2, 3))


@pytest.fixture
def written(tmp_path) -> Write:
    """Writes a run folder and gives its path."""

    def write(
        name: str,
        final: float | None = 0.5,
        *,
        seed: int = 0,
        options: Mapping[str, str] | None = None,
        values: Mapping[str, Mapping[str, Any]] | None = None,
        classes: Sequence[Sequence[int]] = CLASSES,
        status: str = "completed",
        error: str | None = None,
        fingerprint: str = "f",
        cost: Mapping[str, Any] | None = None,
        test_rows: int = 10,
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True)
        chosen = {"strategy": "replay", "selection": "random", "benchmark": "digits"}
        chosen |= {"storage_policy": "reservoir", "model": "mlp", "device": "cpu", "eval": "full"}
        own = {"eval": {"stream": "test", "every_steps": None, "subset": None}, **(values or {})}
        nodes = {
            group: {"option": option, "target": "x:X", "values": own.get(group, {})}
            for group, option in (chosen | dict(options or {})).items()
        }
        record = {
            "label": f"{chosen['strategy']}-s{seed}",
            "status": status,
            "error": error,
            "seeds": {"seed": seed},
            "config": {"root": {"seed": seed}, "nodes": nodes, "plugins": [], "overrides": []},
            "data": {"fingerprint": fingerprint, "class_names": []},
        }
        (folder / "run.json").write_text(json.dumps(record))
        described = [{"classes": c, "train_rows": 20, "test_rows": test_rows} for c in classes]
        spent = {"memory_bytes": 100, "train_steps": 50, **(cost or {})}
        results = {"experiences": described, "cost": spent, "metrics": {}, "memory": {}}
        if status == "completed":
            (folder / "results.json").write_text(json.dumps(results))
        (folder / "metrics.jsonl").write_text(_log(final, len(classes)))
        return folder

    return write


def _log(final: float | None, experiences: int) -> str:
    """The log of a run that has this accuracy on each experience in the end."""
    lines = []
    for index in range(experiences):
        place = {"experience": index, "epoch": None, "iteration": index}
        accuracy = [None if final is None else final] * experiences
        lines.append({"kind": "eval", **place, "accuracy": accuracy, "class_accuracy": []})
        lines.append({"kind": "memory", **place})
    return "".join(f"{json.dumps(line)}\n" for line in lines)
