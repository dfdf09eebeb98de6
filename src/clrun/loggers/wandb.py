"""Weights & Biases: offline unless told, in `wandb/` of the run's folder.

    wandb sync outputs/latest/wandb/offline-run-*     # sends what was logged offline

A run that goes on is the same run there: offline its files are written anew, online what the server
has already is passed over.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from clrun.disk.files import write_text
from clrun.disk.opening import read_text
from clrun.loggers.logger import Line, LoggedRun, own_folder, require_package
from clrun.loggers.numbers import numbers

CONNECT_SECONDS = 30
"""How long an online run waits for the server before it goes on without it"""


class WeightsAndBiases:
    """One run of W&B, its steps the updates."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        project: str
        entity: str | None
        mode: Literal["offline", "online"]

    def __init__(self, config: Config) -> None:
        require_package("wandb", "wandb")
        self.config = config
        self._wandb: Any = None
        self._first = 0
        """steps below are there already"""

    def begin(self, run: LoggedRun, lines: Iterable[Line]) -> None:
        """Open the run, or the one that this run was before it was stopped."""
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # nobody asked for a report
        import wandb

        folder = own_folder(run.folder / "wandb")
        identity = _identity(folder)
        is_online = self.config.mode == "online"
        if not is_online:
            for earlier in folder.glob(f"offline-run-*-{identity}"):
                shutil.rmtree(earlier)
        self._run = run
        self._wandb = wandb.init(
            dir=str(run.folder),
            mode=self.config.mode,
            project=self.config.project,
            entity=self.config.entity,
            id=identity,
            name=run.name or run.label,
            group=run.sweep,
            config={**run.config, "run_id": run.run_id},
            resume="allow" if is_online else None,
            settings=wandb.Settings(
                silent=True, console="off", init_timeout=CONNECT_SECONDS, save_code=False
            ),
        )
        self._first = int(self._wandb.step) if is_online else 0
        for line in lines:
            self.write(line)

    def write(self, line: Line) -> None:
        """Log the numbers at their update."""
        step = line["iteration"]
        found = {name: v for name, v in numbers(line, self._run).items() if v is not None}
        if found and step >= self._first:
            self._wandb.log({**found, "seconds": line["seconds"]}, step=step)

    def end(self, status: str) -> None:
        if self._wandb is not None:
            self._wandb.finish(exit_code=0 if status == "completed" else 1)


def _identity(folder: Path) -> str:
    """What the run is called there, kept for a process that goes on."""
    file = folder / "run-id"
    if not file.exists():
        write_text(file, secrets.token_hex(4))
    return read_text(file, most=64).strip()
