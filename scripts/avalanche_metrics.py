"""Avalanche's own metrics on 200 random streams, beside what was recorded of them.

Run by scripts/avalanche_metrics, in Avalanche's environment; nothing of clrun is imported. Each
metric sees a run as Avalanche's strategies let it: evaluations of every experience before training
and after each, row by row. `--record` writes tests/metrics/avalanche_values.json, which the tests
of clrun's metrics are held to. The exit code is 1 when a value is not the recorded one.
"""

from __future__ import annotations

import hashlib
import json
import sys
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from avalanche.evaluation.metrics import accuracy, forgetting_bwt, forward_transfer

ROOT = Path(__file__).resolve().parents[1]
RECORDED = ROOT / "tests" / "metrics" / "avalanche_values.json"
STREAMS = 200
TOLERANCE = 1e-9
sys.path.insert(0, str(ROOT / "tests"))

from oracles.random_streams import ROWS, RandomStream, random_stream  # noqa: E402

NAMES = ("StreamForgetting", "StreamBWT", "StreamForwardTransfer", "Top1_Acc_Stream")


class Watched:
    """Avalanche's metrics, told of a run by the calls that its strategies make."""

    def __init__(self) -> None:
        self.by_experience = accuracy.ExperienceAccuracy()
        self.streams = [
            forgetting_bwt.StreamForgetting(),
            forgetting_bwt.StreamBWT(),
            forward_transfer.StreamForwardTransfer(),
            accuracy.StreamAccuracy(),
        ]
        self.strategy = SimpleNamespace(
            clock=SimpleNamespace(train_iterations=0), is_eval=True, eval_every=0
        )
        self.matrix: list[list[float]] = []

    def learnt(self, experience: int) -> None:
        """An experience is learnt from here on."""
        self.strategy.experience = _experience(experience)
        for metric in self.streams:
            metric.before_training_exp(self.strategy)

    def evaluated(self, hits: list[int]) -> dict[str, float]:
        """What the metrics say once all experiences were evaluated."""
        every = [self.by_experience, *self.streams]
        self._tell(every, "before_eval")
        row = []
        for index, right in enumerate(hits):
            self.strategy.experience = _experience(index)
            self._tell(every, "before_eval_exp")
            self.strategy.mb_y = torch.zeros(ROWS, dtype=torch.int64)
            self.strategy.mb_output = (torch.arange(ROWS) >= right).long()
            self.strategy.mb_task_id = torch.zeros(ROWS, dtype=torch.int64)
            self._tell(every, "after_eval_iteration")
            said = self._tell(every, "after_eval_exp")
            row.append(said[0][0].value)
        self.matrix.append(row)
        found = self._tell(every, "after_eval")[1:]
        return {
            name: values[0].value if values else float("nan")
            for name, values in zip(NAMES, found, strict=True)
        }

    def _tell(self, metrics: list[Any], event: str) -> list[Any]:
        return [getattr(metric, event)(self.strategy) for metric in metrics]


def _experience(index: int) -> Any:
    stream = SimpleNamespace(name="test")
    return SimpleNamespace(current_experience=index, origin_stream=stream, task_labels=[0])


def values(stream: RandomStream) -> list[Any]:
    """Forgetting, backward and forward transfer, accuracy, and what tells the matrix."""
    watched = Watched()
    watched.evaluated(stream.untrained)
    found: dict[str, float] = {}
    for index, hits in enumerate(stream.learnt):
        watched.learnt(index)
        found = watched.evaluated(hits)
    digest = hashlib.sha256(
        json.dumps([[round(v, 6) for v in r] for r in watched.matrix[1:]]).encode()
    )
    return [*(round(found[name], 12) for name in NAMES), digest.hexdigest()[:16]]


def main() -> int:
    found = [values(random_stream(seed)) for seed in range(STREAMS)]
    if "--record" in sys.argv[1:]:
        content = {
            "avalanche-lib": version("avalanche-lib"),
            "columns": [*NAMES, "sha256 of the accuracy matrix"],
            "values": found,
        }
        text = json.dumps(content).replace("], [", "],\n[")
        RECORDED.write_text(text + "\n")
        return 0
    recorded = json.loads(RECORDED.read_text())["values"]
    wrong = [
        seed
        for seed, (now, before) in enumerate(zip(found, recorded, strict=True))
        if now[-1] != before[-1]
        or any(abs(a - b) > TOLERANCE for a, b in zip(now[:-1], before[:-1], strict=True))
    ]
    print(f"{STREAMS - len(wrong)} of {STREAMS} streams as recorded")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
