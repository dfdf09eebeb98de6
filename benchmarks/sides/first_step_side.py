"""The default run until its first update: first_step_side.py CASE.json OUT.json."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

TORCH = time.process_time()
"""CPU seconds of this process when torch was there."""

from measure import write_result  # noqa: E402

import clrun  # noqa: E402
from clrun.config.schema import component_class  # noqa: E402


class FirstStep(Exception):
    """It has been made."""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        config = clrun.compose([f"output_root={folder}", "device=cpu"])
        strategy = component_class(config.nodes["strategy"].target)
        learn = strategy.learn

        def until_first(self: Any, *args: Any) -> Iterator[Any]:
            float(next(learn(self, *args)).loss)
            raise FirstStep
            yield

        strategy.learn = until_first
        try:
            clrun.run(config, Path(folder) / "run")
        except FirstStep:
            now = time.process_time()
    write_result(
        {
            "first_step_cpu": now,
            "after_torch_cpu": now - TORCH,
            "torch_cpu": TORCH,
            "torch": torch.__version__,
        }
    )


if __name__ == "__main__":
    main()
