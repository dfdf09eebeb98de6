"""The engine that a sweep's options name: whether it can be had, its workers, where they are.

Nothing of an engine is imported before it is named.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType

from clrun.sweep.record import SweepOptions, SweepRecord

ENGINES = {"slurm": "clrun.sweep.engines.slurm", "ray": "clrun.sweep.engines.ray"}
"""launcher -> the module with its `require`, `start` and `waits`"""


def is_engine(launcher: str) -> bool:
    """Whether this launcher starts workers that are not this process."""
    return launcher in ENGINES


def require(options: SweepOptions) -> None:
    """Refuse, before anything is written, an engine that cannot be had from here.

    Raises:
        ConfigError: with what is missing, or wrong with its keys.
    """
    _engine(options).require(options.launcher_keys)


def start(path: Path, record: SweepRecord) -> int:
    """Start workers for what is left of a sweep; the exit code of what was waited for, else 0.

    Raises:
        ClrunError: they could not be started.
        Interrupted: a signal ended the waiting.
    """
    code: int = _engine(record.options).start(path, record)
    return code


def waits(options: SweepOptions) -> bool:
    """Whether `start` returns only when no worker is left, so that the sweep can be summed up."""
    answer: bool = _engine(options).waits(options.launcher_keys)
    return answer


def engine_lines(path: Path, record: SweepRecord) -> list[str]:
    """What `clrun status` says of the workers that were started elsewhere; none where none were."""
    from clrun.sweep.engines.queue import engine_lines as lines

    return lines(path, record.engine)


def _engine(options: SweepOptions) -> ModuleType:
    return import_module(ENGINES[options.launcher])
