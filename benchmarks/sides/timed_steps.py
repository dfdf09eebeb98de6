"""CPU seconds of each update, by experience, and the memory that is resident after it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from typing import Any

from measure import resident_bytes

from clrun.config.schema import component_class

ENDS = 10
"""Experiences at each end that are compared: over single ones a shared machine's speed wanders by a
fifth."""


class TimedSteps:
    """Stands between a run and its strategy, which knows nothing of it."""

    def __init__(self, prepared: Any) -> None:
        self.seconds: list[list[float]] = []
        self.losses: list[list[Any]] = []
        self.resident: list[int] = []
        strategy = component_class(prepared.config.nodes["strategy"].target)
        learn, told = strategy.learn, self

        def timed(strategy: Any, *args: Any) -> Iterator[Any]:
            return told.watch(learn(strategy, *args))

        strategy.learn = timed

    def watch(self, steps: Iterator[Any]) -> Iterator[Any]:
        seconds: list[float] = []
        losses: list[Any] = []
        while True:
            start = time.process_time()
            step = next(steps, None)
            if step is None:
                break
            seconds.append(time.process_time() - start)
            losses.append(step.loss)
            yield step
        self.seconds.append(seconds)
        self.losses.append([float(loss) for loss in losses])
        self.resident.append(resident_bytes())

    def report(self) -> dict[str, Any]:
        """`late_over_early`: the median update of experiences 91 to 100 over that of 2 to 11, for a
        stream of 101; `resident_growth`: resident memory after the last over that after 2."""
        medians = [statistics.median(seconds) for seconds in self.seconds]
        late, early = medians[-ENDS:], medians[2 : 2 + ENDS] or medians[-ENDS:]
        return {
            "late_over_early": statistics.median(late) / statistics.median(early),
            "resident_growth": self.resident[-1] / self.resident[min(2, len(self.resident) - 1)],
            "step_ms": [round(1000 * median, 4) for median in medians],
            "resident_mb": [round(value / 1e6, 1) for value in self.resident],
            "losses": self.losses[:2],
        }
