"""Where time goes: phases that follow one another, each divided into parts. No torch here."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, TypeVar

Update = TypeVar("Update")

REST = "rest"
"""The part of a phase that no span covers."""

Mark = Callable[[str], AbstractContextManager[Any]]
"""Shows a range in a trace under this name."""


@dataclass
class Spent:
    """The time that went into a part of a phase."""

    calls: int = 0
    wall: float = 0.0
    cpu: float = 0.0
    """seconds of all threads of the process"""

    def add(self, calls: int, wall: float, cpu: float) -> None:
        self.calls += calls
        self.wall += wall
        self.cpu += cpu


@dataclass
class Phase:
    """The time and memory that went into a phase."""

    parts: dict[str, Spent] = field(default_factory=lambda: defaultdict(Spent))
    peak_rss: int | None = None
    """bytes; None where no sample fell into the phase"""
    peak_device: int | None = None

    @property
    def wall(self) -> float:
        return sum(part.wall for part in self.parts.values())

    @property
    def cpu(self) -> float:
        return sum(part.cpu for part in self.parts.values())

    def sampled(self, rss: int | None, device: int | None) -> None:
        """Count a sample of the memory in use."""
        self.peak_rss = _larger(self.peak_rss, rss)
        self.peak_device = _larger(self.peak_device, device)

    def take(self, other: Phase) -> None:
        """Add another stretch of the same phase."""
        for name, spent in other.parts.items():
            self.parts[name].add(spent.calls, spent.wall, spent.cpu)
        self.sampled(other.peak_rss, other.peak_device)


class Range:
    """A stretch of time: a phase, or a part of the phase around it. A context manager."""

    def __init__(self, clocks: Clocks, name: str, phase: Phase, *, is_phase: bool) -> None:
        self.name = name
        """the phase or part; inside a phase it may be set, where only the end shows which it was"""
        self.phase, self.is_phase = phase, is_phase
        self._clocks = clocks
        self._mark = None if clocks.mark is None else clocks.mark(name)
        self._inner_wall = self._inner_cpu = 0.0

    def __enter__(self) -> Range:
        self._clocks.open_ranges.append(self)
        if self._mark is not None:
            self._mark.__enter__()
        self._start_cpu, self._start_wall = time.process_time(), time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        wall = time.perf_counter() - self._start_wall
        cpu = time.process_time() - self._start_cpu
        if self._mark is not None:
            self._mark.__exit__(None, None, None)
        around = self._clocks.open_ranges
        assert around.pop() is self, f"{self.name} ends before a range inside it"
        part = REST if self.is_phase else self.name
        self.phase.parts[part].add(1, wall - self._inner_wall, cpu - self._inner_cpu)
        if around:
            around[-1]._inner_wall += wall
            around[-1]._inner_cpu += cpu
        if self.is_phase:
            self._clocks.phases[self.name].take(self.phase)


class Clocks:
    """Measures the spans of the thread that made it.

    Every moment belongs to the innermost phase and, there, to the innermost part; so all of them
    add up to the time from the first range's begin to its end.
    """

    def __init__(self) -> None:
        self.phases: dict[str, Phase] = defaultdict(Phase)
        self.open_ranges: list[Range] = []
        """those that have begun and not ended, the innermost last"""
        self.mark: Mark | None = None
        """set while a trace is taken"""
        self.trace: Callable[[Iterator[Any], int], Iterator[Any]] | None = None
        """times and traces the updates of an experience, once there is a run to trace"""
        self._thread = threading.get_ident()

    def phase(self, name: str) -> AbstractContextManager[Any]:
        """What runs inside is this phase."""
        if threading.get_ident() != self._thread:
            return nullcontext()
        return Range(self, name, Phase(), is_phase=True)

    def span(self, name: str) -> AbstractContextManager[Any]:
        """What runs inside is this part of the current phase."""
        if threading.get_ident() != self._thread:
            return nullcontext()
        return Range(self, name, self.open_ranges[-1].phase, is_phase=False)

    def updates(self, learning: Iterator[Update], experience: int) -> Iterator[Update]:
        """The same updates, traced where a trace is taken."""
        return learning if self.trace is None else self.trace(learning, experience)

    def sampled(self, rss: int | None, device: int | None) -> None:
        """Memory in use now, as another thread sees it."""
        for innermost in self.open_ranges[-1:]:
            innermost.phase.sampled(rss, device)


def _larger(one: int | None, other: int | None) -> int | None:
    return max((value for value in (one, other) if value is not None), default=None)
