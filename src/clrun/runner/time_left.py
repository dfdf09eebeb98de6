"""How long the rest of a run takes, from what its updates and evaluations took so far."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from clrun.runner.cost import Cost

WINDOW_SECONDS = 60.0
"""Updates of the last minute count: those of a later experience may be quicker, or slower."""
MEASURED_SECONDS = 1.0
"""Less than this of updates says nothing yet."""


class Mark(NamedTuple):
    """How far training was after so many seconds of it."""

    seconds: float
    done: float
    images: int


class TimeLeft:
    """Estimates that begin after the first updates, which do what is done once, and are slow."""

    def __init__(self, evaluations: int) -> None:
        """`evaluations`: how many there are in the whole run, the one before training left out."""
        self._evaluations = evaluations
        self.made = 0
        """evaluations so far"""
        self._marks: deque[Mark] = deque()

    def evaluated(self) -> None:
        """Count an evaluation."""
        self.made += 1

    def now(self, cost: Cost, done: float) -> tuple[float | None, float | None]:
        """(seconds left, images a second) with this share of training done; None where nothing
        was measured yet."""
        wall = cost.wall_seconds
        mark = Mark(wall["train"] + wall["memory"], done, cost.patterns_seen)
        self._marks.append(mark)
        while len(self._marks) > 2 and self._marks[1].seconds < mark.seconds - WINDOW_SECONDS:
            self._marks.popleft()
        first = self._marks[0]
        seconds, share = mark.seconds - first.seconds, done - first.done
        if seconds < MEASURED_SECONDS or share <= 0:
            return None, None
        left = seconds / share * (1 - done)
        if self.made:
            left += wall["eval"] / self.made * self._evaluations * (1 - done)
        return left, (mark.images - first.images) / seconds
