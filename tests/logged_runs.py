"""What loggers in tests know of a run."""

from __future__ import annotations

from pathlib import Path

from clrun.loggers.logger import LoggedRun


def logged_run(folder: Path) -> LoggedRun:
    return LoggedRun(
        folder=folder,
        run_id="one",
        name=None,
        label="naive-digits-s0",
        sweep=None,
        started=1000.0,
        output_root=folder,
        experiences=3,
        classes=2,
        config={"seed": 0, "strategy": "naive"},
    )
