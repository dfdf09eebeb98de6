"""What a run costs: seconds by phase, updates, patterns, multiply-accumulates, memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from clrun.profiling import spans
from clrun.profiling.peaks import peak_bytes
from clrun.strategies.step import Step

PHASES = ("setup", "train", "memory", "eval", "checkpoint")

COUNTS = ("train_steps", "patterns_seen", "replayed_patterns")

PEAK_STEP = 128 * 2**20
"""results.json rounds the process's peak up to this, so that equal runs give equal files; the
`resource` lines of metrics.jsonl have it exactly."""


class Cost:
    """Counts while a run goes on."""

    def __init__(self, setup_seconds: float = 0.0) -> None:
        self.wall_seconds = dict.fromkeys(PHASES, 0.0) | {"setup": setup_seconds}
        self.train_steps = 0
        self.patterns_seen = 0
        self.replayed_patterns = 0
        self._before_experience = dict(self.wall_seconds)
        self._peaks = (0, 0)  # of memory, here and in processes before: its own, on the device

    def begin_experience(self) -> None:
        """Count the seconds of an experience from here on."""
        self._before_experience = dict(self.wall_seconds)

    def experience_seconds(self) -> dict[str, float]:
        """Seconds by phase since the experience began."""
        before = self._before_experience
        return {name: round(now - before[name], 6) for name, now in self.wall_seconds.items()}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Seconds inside belong to this phase."""
        start = time.perf_counter()
        try:
            with spans.phase(name):
                yield
        finally:
            self.wall_seconds[name] += time.perf_counter() - start

    def steps(self, learning: Iterator[Step]) -> Iterator[Step]:
        """Time and count the steps of an experience; what follows the last is the memory's work."""
        while True:
            start = time.perf_counter()
            step = next(learning, None)
            phase = "memory" if step is None else "train"
            self.wall_seconds[phase] += time.perf_counter() - start
            if step is None:
                return
            self.train_steps += 1
            self.patterns_seen += step.patterns
            self.replayed_patterns += step.replayed
            yield step

    def peaks(self, device_bytes: int) -> tuple[int, int]:
        """The most bytes held so far, by the process and on its device, which says `device_bytes`.

        Of a run that was interrupted it is the most in any of its processes.
        """
        process, device = self._peaks
        self._peaks = max(process, peak_bytes()), max(device, device_bytes)
        return self._peaks

    def state_dict(self) -> dict[str, Any]:
        """All counts so far, as numbers."""
        return {
            "wall_seconds": dict(self.wall_seconds),
            "before_experience": dict(self._before_experience),
            "peaks": list(self._peaks),
            **{name: getattr(self, name) for name in COUNTS},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from such counts; what this process spent so far comes on top."""
        for name, seconds in state["wall_seconds"].items():
            self.wall_seconds[name] += seconds
        self._before_experience = dict(state["before_experience"])
        process, device = state["peaks"]
        self._peaks = max(process, self._peaks[0]), max(device, self._peaks[1])
        for name in COUNTS:
            setattr(self, name, state[name])

    def summary(
        self, train_macs: int | None, memory_bytes: int, peak_device_bytes: int
    ) -> dict[str, Any]:
        """The `cost` of results.json."""
        peak, peak_device = self.peaks(peak_device_bytes)
        return {
            "wall_seconds": {name: round(value, 3) for name, value in self.wall_seconds.items()},
            "train_steps": self.train_steps,
            "patterns_seen": self.patterns_seen,
            "replayed_patterns": self.replayed_patterns,
            "train_macs": train_macs,
            "peak_rss_bytes": -(-peak // PEAK_STEP) * PEAK_STEP,
            "peak_device_bytes": peak_device,
            "memory_bytes": memory_bytes,
        }
