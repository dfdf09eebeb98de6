"""What every side of a benchmark measures of itself, without torch: seconds and memory."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class Meter:
    """CPU and wall seconds by phase; the peak of resident memory above that of its making."""

    def __init__(self) -> None:
        self.cpu: dict[str, float] = {}
        self.wall: dict[str, float] = {}
        self.base = resident_bytes()
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """What is done inside belongs to the phase, in addition to what did before."""
        cpu, wall = time.process_time(), time.perf_counter()
        yield
        self.cpu[name] = self.cpu.get(name, 0.0) + time.process_time() - cpu
        self.wall[name] = self.wall.get(name, 0.0) + time.perf_counter() - wall

    def report(self) -> dict[str, float]:
        """`train_cpu`, `eval_cpu`, ..., `total_cpu`, the same of wall seconds, and `peak_mb`."""
        told = {f"{name}_cpu": seconds for name, seconds in self.cpu.items()}
        told |= {f"{name}_wall": seconds for name, seconds in self.wall.items()}
        told["total_cpu"], told["total_wall"] = sum(self.cpu.values()), sum(self.wall.values())
        told["peak_mb"] = (_status("VmHWM") - self.base) / 1e6
        return told


def resident_bytes() -> int:
    """Memory of this process that is in RAM now."""
    return _status("VmRSS")


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field + ":"))


def read_case() -> dict[str, Any]:
    """The case this process was started with: SIDE.py CASE.json OUT.json."""
    return json.loads(Path(sys.argv[1]).read_text())


def write_result(result: dict[str, Any]) -> None:
    """Hand the numbers to whoever started this process."""
    Path(sys.argv[2]).write_text(json.dumps(result))


def weights_file() -> Path:
    """Where the final weights go, by name, for comparison with another side's."""
    return Path(sys.argv[2]).with_suffix(".npz")
