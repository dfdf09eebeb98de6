"""Where time goes: phases that follow one another, each divided into parts. No torch here."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

REST = "rest"
"""The part of a phase that no other part covers."""

Mark = Callable[[str], AbstractContextManager[Any]]
"""Shows a range in a trace under this name."""


@dataclass
class Spent:
    """What went into a part."""

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
    """What went into a phase."""

    parts: dict[str, Spent] = field(default_factory=dict)
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
            self.parts.setdefault(name, Spent()).add(spent.calls, spent.wall, spent.cpu)
        self.sampled(other.peak_rss, other.peak_device)


class _Frame:
    """A range that has begun."""

    def __init__(self, name: str, phase: Phase, *, is_phase: bool, whole: bool) -> None:
        self.name, self.phase, self.is_phase, self.whole = name, phase, is_phase, whole
        self.ignored = 0  # ranges inside, where the part is not divided
        self.inner_wall = self.inner_cpu = 0.0
        self.mark: AbstractContextManager[Any] | None = None
        self.start_cpu, self.start_wall = time.process_time(), time.perf_counter()


class Clocks:
    """Ranges of the thread that made this, one inside another.

    Every moment belongs to the innermost phase and, there, to the innermost part; so all of them
    add up to the time from the first range's begin to its end.
    """

    def __init__(self) -> None:
        self.phases: dict[str, Phase] = {}
        self.mark: Mark | None = None
        """set while a trace is taken"""
        self._open: list[_Frame] = []
        self._thread = threading.get_ident()

    @property
    def phase_now(self) -> str:
        """The innermost phase, as it was called when it began."""
        return next(frame.name for frame in reversed(self._open) if frame.is_phase)

    def begin_phase(self, name: str) -> None:
        self._push(_Frame(name, Phase(), is_phase=True, whole=False))

    def end_phase(self, name: str | None = None) -> None:
        """The innermost phase ends; `name` where only its end tells what it was."""
        frame = self._open[-1]
        assert frame.is_phase, f"{frame.name} is still open"
        self._pop(REST)
        self.phases.setdefault(name or frame.name, Phase()).take(frame.phase)

    def begin(self, part: str, *, whole: bool = False) -> None:
        """A part of the current phase begins; a `whole` one is not divided further."""
        if threading.get_ident() != self._thread:
            return
        around = self._open[-1]
        if around.whole:
            around.ignored += 1
        else:
            self._push(_Frame(part, around.phase, is_phase=False, whole=whole))

    def end(self) -> None:
        """The innermost part ends."""
        if threading.get_ident() != self._thread:
            return
        frame = self._open[-1]
        if frame.ignored:
            frame.ignored -= 1
        else:
            self._pop(frame.name)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """What runs inside is this phase."""
        self.begin_phase(name)
        try:
            yield
        finally:
            self.end_phase()

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """What runs inside is this part of the current phase."""
        self.begin(name)
        try:
            yield
        finally:
            self.end()

    def sampled(self, rss: int | None, device: int | None) -> None:
        """Memory in use now, as another thread sees it."""
        if self._open:
            self._open[-1].phase.sampled(rss, device)

    def _push(self, frame: _Frame) -> None:
        self._open.append(frame)
        if self.mark is not None:
            frame.mark = self.mark(frame.name)
            frame.mark.__enter__()

    def _pop(self, part: str) -> None:
        frame = self._open.pop()
        if frame.mark is not None:
            frame.mark.__exit__(None, None, None)
        wall = time.perf_counter() - frame.start_wall
        cpu = time.process_time() - frame.start_cpu
        spent = frame.phase.parts.setdefault(part, Spent())
        spent.add(1, wall - frame.inner_wall, cpu - frame.inner_cpu)
        if self._open:
            self._open[-1].inner_wall += wall
            self._open[-1].inner_cpu += cpu


def _larger(one: int | None, other: int | None) -> int | None:
    return max((value for value in (one, other) if value is not None), default=None)
