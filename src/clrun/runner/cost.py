"""What a run costs: seconds by phase, updates, patterns, multiply-accumulates, memory, energy."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from clrun.device.rows import Rows
from clrun.profiling import spans
from clrun.profiling.peaks import peak_bytes
from clrun.profiling.seconds import Seconds
from clrun.runner.judged import Predicts
from clrun.strategies.step import Step

PHASES = ("setup", "train", "memory", "eval", "checkpoint")

COUNTS = ("train_steps", "patterns_seen", "replayed_patterns", "evaluated_patterns")

PEAK_STEP = 128 * 2**20
"""results.json rounds the process's peak up to this, so that equal runs give equal files; the
`resource` lines of metrics.jsonl have it exactly."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """What others know of a run's cost at its end; None: nobody does."""

    train_macs: int | None
    forward_macs: int | None
    """multiply-accumulates of the model's forward pass for one image"""
    memory_bytes: int
    state_bytes: Mapping[str, int] | None
    peak_device_bytes: int
    watts: float | None
    """that the machine draws while it computes, as its user says"""


class Cost:
    """Counts while a run goes on."""

    def __init__(self, setup: Seconds = Seconds()) -> None:  # noqa: B008 - it cannot be changed
        self.wall_seconds = dict.fromkeys(PHASES, 0.0) | {"setup": setup.wall}
        self.cpu_seconds = dict.fromkeys(PHASES, 0.0) | {"setup": setup.cpu}
        self.train_steps = 0
        self.patterns_seen = 0
        self.replayed_patterns = 0
        self.evaluated_patterns = 0
        self._before_experience = dict(self.wall_seconds)
        self._mark: _Mark | None = None  # while an experience is learnt
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
        start = Seconds.now()
        try:
            with spans.phase(name):
                yield
        finally:
            self._spend(name, start)

    @contextmanager
    def evaluation(self, strategy: Predicts) -> Iterator[Predicts]:
        """Count what is predicted with this strategy inside; of an evaluation that ends too early,
        and is to be made again, the seconds alone."""
        predicting = _Predicting(strategy)
        with self.phase("eval"):
            yield predicting
        self.evaluated_patterns += predicting.patterns

    def steps(self, learning: Iterator[Step]) -> Iterator[Step]:
        """Time and count the steps of an experience; what follows the last is the memory's work.

        The processor's clock is a call to the system, and is read once an epoch.
        """
        self._mark = self._marked()
        while True:
            start = time.perf_counter()
            step = next(learning, None)
            spent = time.perf_counter() - start
            phase = "memory" if step is None else "train"
            self.wall_seconds[phase] += spent
            assert self._mark is not None, "an experience is being learnt"
            self._mark.own += spent
            if step is None or step.ends_epoch:
                self._settle(phase)
            if step is None:
                self._mark = None
                return
            self.train_steps += 1
            self.patterns_seen += step.patterns
            self.replayed_patterns += step.replayed
            yield step

    def _spend(self, phase: str, start: Seconds) -> None:
        """The time since `start` belongs to this phase."""
        wall, cpu = Seconds.now().since(start)
        self.wall_seconds[phase] += wall
        self.cpu_seconds[phase] += cpu

    def _marked(self) -> _Mark:
        others = [name for name in PHASES if name not in ("train", "memory")]
        wall, cpu = (
            sum(clock[name] for name in others) for clock in (self.wall_seconds, self.cpu_seconds)
        )
        return _Mark(Seconds.now(), Seconds(wall, cpu))

    def _settle(self, phase: str) -> None:
        """Give the phase its part of the processor's time since the mark: what was spent neither in
        it nor in another phase, on recording say, has the other part, by the clock."""
        before = self._mark
        if before is None:
            return
        self._mark = now = self._marked()
        rest = now.at.since(before.at).since(now.others.since(before.others))
        if rest.wall > 0:
            self.cpu_seconds[phase] += max(rest.cpu, 0.0) * min(before.own / rest.wall, 1.0)

    def peaks(self, device_bytes: int) -> tuple[int, int]:
        """The most bytes held so far, by the process and on its device, which says `device_bytes`.

        Of a run that was interrupted it is the most in any of its processes.
        """
        process, device = self._peaks
        self._peaks = max(process, peak_bytes()), max(device, device_bytes)
        return self._peaks

    def state_dict(self) -> dict[str, Any]:
        """All counts so far, as numbers."""
        self._settle("train")
        return {
            "wall_seconds": dict(self.wall_seconds),
            "cpu_seconds": dict(self.cpu_seconds),
            "before_experience": dict(self._before_experience),
            "peaks": list(self._peaks),
            **{name: getattr(self, name) for name in COUNTS},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from such counts; what this process spent so far comes on top."""
        for name in PHASES:
            self.wall_seconds[name] += state["wall_seconds"][name]
            self.cpu_seconds[name] += state["cpu_seconds"][name]
        self._before_experience = dict(state["before_experience"])
        process, device = state["peaks"]
        self._peaks = max(process, self._peaks[0]), max(device, self._peaks[1])
        for name in COUNTS:
            setattr(self, name, state[name])

    def summary(self, known: Known) -> dict[str, Any]:
        """The `cost` of results.json."""
        self._settle("train")
        peak, peak_device = self.peaks(known.peak_device_bytes)
        return {
            "wall_seconds": _rounded(self.wall_seconds),
            "cpu_seconds": _rounded(self.cpu_seconds),
            "train_steps": self.train_steps,
            "patterns_seen": self.patterns_seen,
            "replayed_patterns": self.replayed_patterns,
            "evaluated_patterns": self.evaluated_patterns,
            "train_macs": known.train_macs,
            "eval_macs": self._eval_macs(known),
            "peak_rss_bytes": -(-peak // PEAK_STEP) * PEAK_STEP,
            "peak_device_bytes": peak_device,
            "memory_bytes": known.memory_bytes,
            "state_bytes": None if known.state_bytes is None else dict(known.state_bytes),
            "energy_joules_estimate": self._joules(known.watts),
        }

    def _eval_macs(self, known: Known) -> int | None:
        """Each row that was predicted as one forward pass, also where a cache had a part of it."""
        if known.train_macs is None or known.forward_macs is None:
            return None
        return self.evaluated_patterns * known.forward_macs

    def _joules(self, watts: float | None) -> float | None:
        return None if watts is None else round(watts * sum(self.wall_seconds.values()), 3)


@dataclass
class _Mark:
    """A moment at which the processor's clock was read."""

    at: Seconds
    others: Seconds
    """spent until then in phases other than learning"""
    own: float = 0.0
    """seconds of learning since"""


class _Predicting:
    """A strategy whose predictions are counted."""

    def __init__(self, strategy: Predicts) -> None:
        self._strategy = strategy
        self.patterns = 0

    def predict(self, x: Rows) -> Tensor:
        """Logits of uint8 rows. [B, C, H, W] -> [B, num_classes]"""
        self.patterns += len(x)
        return self._strategy.predict(x)


def _rounded(seconds: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 3) for name, value in seconds.items()}
