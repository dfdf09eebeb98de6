"""What every side of a benchmark measures of itself, without torch: seconds and memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Meter:
    """CPU and wall seconds by phase; the peak of resident memory above that of its making."""

    def __init__(self) -> None:
        self.cpu: dict[str, float] = {}
        self.wall: dict[str, float] = {}
        self.base = resident_bytes()
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count what happens inside to the phase, in addition to what did before."""
        cpu, wall = time.process_time(), time.perf_counter()
        yield
        self.cpu[name] = self.cpu.get(name, 0.0) + time.process_time() - cpu
        self.wall[name] = self.wall.get(name, 0.0) + time.perf_counter() - wall

    def peak_mb(self) -> float:
        """The most resident memory so far, above that of the beginning."""
        return (_status("VmHWM") - self.base) / 1e6

    def report(self) -> dict[str, float]:
        """`train_cpu`, `eval_cpu`, ..., `total_cpu`, the same of wall seconds, and `peak_mb`."""
        cpu = {f"{name}_cpu": seconds for name, seconds in self.cpu.items()}
        wall = {f"{name}_wall": seconds for name, seconds in self.wall.items()}
        totals = {"total_cpu": sum(self.cpu.values()), "total_wall": sum(self.wall.values())}
        return {**cpu, **wall, **totals, "peak_mb": self.peak_mb()}


def resident_bytes() -> int:
    """Memory of this process that is in RAM now."""
    return _status("VmRSS")


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field + ":"))
