"""What points of a sweep and compared methods have in common: a mean over seeds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from clrun.records.spread import Spread


@dataclass(frozen=True, kw_only=True)
class Scored(ABC):
    """Runs that differ in their seeds alone, by the metric that the page is about."""

    spread: Spread | None
    """None where a completed run has no value, or none is completed"""

    @property
    @abstractmethod
    def name(self) -> str:
        """What tells it from the others."""

    @property
    def mean(self) -> float:
        """The mean over seeds; it has a number."""
        assert self.spread is not None, self.name
        return self.spread.mean

    @property
    def half(self) -> float | None:
        """Half of the interval of the mean; None of one run."""
        return None if self.spread is None else self.spread.half_width

    @property
    def count(self) -> int:
        """Runs that the mean is over."""
        return 0 if self.spread is None else self.spread.n
