"""Standing between a run and its strategy, which knows nothing of it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

from clrun.config.schema import component_class
from sides.measure import resident_bytes

ENDS = 10
"""Experiences at each end that are compared: over single ones a shared machine's speed wanders by a
fifth."""


def watch(config: Any, around: Callable[[Iterator[Any]], Iterator[Any]]) -> None:
    """Let a run see the updates that `around` yields, given an experience's own."""
    strategy = component_class(config.nodes["strategy"].target)
    learn = strategy.learn
    strategy.learn = lambda self, *args: around(learn(self, *args))


class TimedSteps:
    """CPU seconds of each update, by experience, and the memory that is resident after it."""

    def __init__(self) -> None:
        self.medians: list[float] = []
        self.losses: list[list[float]] = []
        self.resident: list[int] = []

    def __call__(self, steps: Iterator[Any]) -> Iterator[Any]:
        seconds, losses, start = [], [], time.process_time()
        for step in steps:
            seconds.append(time.process_time() - start)
            losses.append(step.loss)
            yield step
            start = time.process_time()
        self.medians.append(statistics.median(seconds))
        self.losses.append([float(loss) for loss in losses])
        self.resident.append(resident_bytes())

    def report(self) -> dict[str, Any]:
        """`late_over_early`: the median update of experiences 91 to 100 over that of 2 to 11, for a
        stream of 101; `resident_growth`: resident memory after the last over that after 2."""
        medians, resident = self.medians, self.resident
        late, early = medians[-ENDS:], medians[2 : 2 + ENDS] or medians[-ENDS:]
        return {
            "late_over_early": statistics.median(late) / statistics.median(early),
            "resident_growth": resident[-1] / resident[min(2, len(resident) - 1)],
            "step_ms": [round(1000 * median, 4) for median in medians],
            "resident_mb": [round(value / 1e6, 1) for value in resident],
            "losses": self.losses[:2],
        }
