"""The default run until its first update."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

TORCH = time.process_time()
"""CPU seconds of this process when torch was there."""

import clrun  # noqa: E402
from sides.watch import watch  # noqa: E402


class FirstStep(Exception):
    """The first update has been made."""


def until_first(steps: Iterator[Any]) -> Iterator[Any]:
    """Make one update and stop the run."""
    float(next(steps).loss)
    raise FirstStep
    yield


def measure(case: dict[str, Any]) -> dict[str, Any]:
    """CPU seconds of the process, in all and after torch is imported."""
    with tempfile.TemporaryDirectory() as folder:
        config = clrun.compose([f"output_root={folder}", "device=cpu"])
        watch(config, until_first)
        try:
            clrun.run(config, Path(folder) / "run")
        except FirstStep:
            now = time.process_time()
    since = {"first_step_cpu": now, "after_torch_cpu": now - TORCH, "torch_cpu": TORCH}
    return since | {"torch": torch.__version__}
