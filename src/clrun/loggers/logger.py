"""What a logger is: takes the numbers of one run, as they are measured, to some place of its own.

An option of the group `logger` is a class with a `Config`, here or in another package. It is made
before anything starts, and says then what it lacks (`require_package`). It changes nothing of the
run: it sees lines of metrics.jsonl and what `LoggedRun` says, and what it raises costs the run a
line and the logger its work (`clrun.runner.sinks`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from clrun.disk.opening import UnusualFile
from clrun.errors import ConfigError

Line = Mapping[str, Any]
"""A line of metrics.jsonl: kind, experience, epoch, iteration, seconds and values. Two kinds are
there for loggers alone: `metrics` after each experience, over those that were learnt so far and in
the end as results.json has them, and `cost` in the end. `clrun.loggers.numbers` gives their
numbers by name."""


@dataclass(frozen=True, kw_only=True)
class LoggedRun:
    """What a logger knows of the run."""

    folder: Path
    """of the run, for what a logger writes; absolute"""
    run_id: str
    name: str | None
    """`run_name`, which its user gave it"""
    label: str
    """strategy, benchmark and seed"""
    sweep: str | None
    """the sweep that it is a job of"""
    started: float
    """seconds since 1970: line["seconds"] count from there"""
    output_root: Path
    """where all runs are; absolute"""
    experiences: int
    classes: int
    config: Mapping[str, Any]
    """each key as it is typed -> its value: seed, strategy.lr, and so on"""


class Logger(Protocol):
    """A logger of one run."""

    def begin(self, run: LoggedRun, lines: Iterable[Line]) -> None:
        """Open what is written to. `lines` are those that the run has already: a run that goes on
        repeats them from its first one, to the last bit but `seconds` of those after the state
        that it goes on from. So a logger begins anew, or passes over as many as it has."""
        ...

    def write(self, line: Line) -> None:
        """Take a line."""
        ...

    def end(self, status: str) -> None:
        """Close what is open; called once, however it ended: completed, failed, interrupted."""
        ...


def require_package(option: str, package: str) -> None:
    """Refuse a logger whose package is not installed.

    Raises:
        ConfigError: with the command that installs it.
    """
    if find_spec(package) is None:
        raise ConfigError(
            f"logger={option}: needs {package}, which is not installed. "
            f"pip install 'clrun[{option}]'"
        )


def own_folder(path: Path) -> Path:
    """A folder for a logger, made if it is not there.

    Raises:
        OSError: it cannot be made, or somebody put a link under that name.
    """
    if path.is_symlink():
        raise UnusualFile(path, "is a link, which is not followed")
    path.mkdir(exist_ok=True)
    return path
