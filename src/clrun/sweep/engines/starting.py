"""The engine that a sweep's options name: whether it can be had, its workers, where they are.

Nothing of an engine is imported before it is named.
"""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType

from clrun.sweep.manifest import read_manifest
from clrun.sweep.outcomes import FAILED, INTERRUPTED, read_outcome, write_outcome
from clrun.sweep.record import SweepOptions, SweepRecord, read_record

ENGINES = {"slurm": "clrun.sweep.engines.slurm", "ray": "clrun.sweep.engines.ray"}
"""launcher -> the module with its `require` and `start`"""


def is_engine(launcher: str) -> bool:
    """Whether this launcher starts workers that are not this process."""
    return launcher in ENGINES


def require(options: SweepOptions) -> None:
    """Refuse, before anything is written, an engine that cannot be had from here.

    Raises:
        ConfigError: with what is missing, or wrong with its keys.
    """
    _engine(options).require(options.launcher_keys)


def run_elsewhere(
    path: Path, options: SweepOptions, *, retry_failed: bool = False, force: bool = False
) -> bool:
    """Start workers for what is left of a sweep, `force`d or not; whether it was waited for them.

    Raises:
        ClrunError: they could not be started.
        Interrupted: a signal ended the waiting.
    """
    engine = _engine(options)
    engine.require(options.launcher_keys)
    if retry_failed:
        _reopen(path)
    record = replace(read_record(path), options=options)
    waited: bool = engine.start(path.absolute(), record, force=force)
    return waited


def _reopen(path: Path) -> None:
    """Let workers, who leave what has failed, come to it again."""
    for job in read_manifest(path):
        outcome = read_outcome(path, job.number)
        if outcome is not None and outcome.status == FAILED:
            again = replace(outcome, status=INTERRUPTED, reason=None, exit_code=None)
            write_outcome(path, job.number, again)


def engine_lines(path: Path, record: SweepRecord) -> list[str]:
    """What `clrun status` says of the workers that were started elsewhere; none where none were."""
    from clrun.sweep.engines.queue import engine_lines as lines

    return lines(path, record.engine)


def _engine(options: SweepOptions) -> ModuleType:
    return import_module(ENGINES[options.launcher])
