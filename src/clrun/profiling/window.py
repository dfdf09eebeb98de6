"""Some updates of one experience under PyTorch's profiler: the operators and the trace."""

from __future__ import annotations

import gzip
import itertools
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import torch
from torch._C._profiler import _ExperimentalConfig
from torch.autograd.profiler import profile, record_function

from clrun.disk.files import write_bytes
from clrun.profiling.clocks import Clocks


class Update(Protocol):
    """What a strategy yields after an update."""

    @property
    def iterations(self) -> int:
        """updates in this epoch"""


AnUpdate = TypeVar("AnUpdate", bound=Update)

TRACING = "trace"
"""The phase of the traced updates and of the profiler's own work."""


class Window(NamedTuple):
    """What is traced, and with how much detail."""

    experience: int
    warm_up: int
    """updates of the experience before the first traced one"""
    steps: int
    shapes: bool
    memory: bool
    stacks: bool


class Tracer:
    """Takes the trace of a window.

    The profiler is the one that `torch.profiler.profile` wraps: that one imports TorchDynamo, which
    takes seconds and a hundred megabytes that the run itself does not need.
    """

    def __init__(
        self,
        window: Window,
        clocks: Clocks,
        device: torch.device,
        length: Callable[[int], int],
    ) -> None:
        """`length`: the updates of an epoch -> those of an experience."""
        self.window, self.clocks, self.device, self.length = window, clocks, device, length
        self.steps = 0
        """updates traced so far"""
        self.first: int | None = None
        """the first traced update of the experience"""
        self._profile: Any = None
        self._running = False

    def updates(self, learning: Iterator[AnUpdate], experience: int) -> Iterator[AnUpdate]:
        """The same updates, timed, and traced where the window says."""
        start, total = self.window.warm_up, -1  # updates of the experience: known after the first
        try:
            for count in itertools.count():
                if experience == self.window.experience and count == start and count != total:
                    self._start(count)
                update = self._next(learning)
                if update is None:
                    return
                if total < 0:  # a short experience has a shorter warm-up
                    total = self.length(update.iterations)
                    start = min(start, max(1, total - self.window.steps))
                if self._running and (self.steps == self.window.steps or count == total - 1):
                    self._stop()
                yield update
        finally:
            self._stop()

    def _next(self, learning: Iterator[AnUpdate]) -> AnUpdate | None:
        """The next update, timed; what follows the last one is the memory's work."""
        phase = TRACING if self._running else "train"
        with self.clocks.phase(phase) as current:
            with self.clocks.span("strategy"):
                update = next(learning, None)
            if update is None:
                current.name = "memory"
        self.steps += self._running and update is not None
        return update

    def _start(self, count: int) -> None:
        w, self.first = self.window, count
        os.environ.setdefault("KINETO_LOG_LEVEL", "6")  # or the profiler writes on the terminal
        with self.clocks.phase(TRACING):
            self._profile = profile(
                use_device=self.device.type if self.device.type == "cuda" else None,
                use_kineto=True,
                record_shapes=w.shapes,
                profile_memory=w.memory,
                with_stack=w.stacks,
                # without this, stacks reach the trace but not the operators
                experimental_config=_ExperimentalConfig(verbose=True) if w.stacks else None,
            )
            self._profile.__enter__()
        self._running, self.clocks.mark = True, record_function

    def _stop(self) -> None:
        if self._running:
            self._running, self.clocks.mark = False, None
            with self.clocks.phase(TRACING):
                if self.device.type == "cuda":
                    torch.cuda.synchronize(self.device)  # what was started belongs to the trace
                self._profile.__exit__(None, None, None)

    def events(self) -> Any:
        """The profiler's averages, one entry for each operator; empty where nothing was traced."""
        if self._profile is None:
            return []
        depth = 6 if self.window.stacks else 0
        return self._profile.key_averages(self.window.shapes, depth)

    def save(self, path: Path) -> None:
        """Write the trace for Perfetto, chrome://tracing or TensorBoard, whole or not at all."""
        assert self._profile is not None, "nothing was traced"
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            plain = Path(folder, "trace.json")
            self._profile.export_chrome_trace(str(plain))
            write_bytes(path, gzip.compress(plain.read_bytes(), compresslevel=6))
