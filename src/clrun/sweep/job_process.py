"""A unit of work in a process of its own, from its folder to its exit code.

Imported where torch is. The process has been forked from one that has the unit's data. It ends with
the exit code that a single run would have, and what failed goes to whoever waits for it, in a line.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clrun.config.run_config import Node, RunConfig
from clrun.disk import locks
from clrun.disk.files import storage_errors
from clrun.errors import ClrunError, FolderError
from clrun.models.weights import origin
from clrun.profiling.activity import doing
from clrun.profiling.peaks import forget_peak
from clrun.records.identity import code_of, differences
from clrun.records.run_folder import LOCK, RunFolder, read_record, run_status
from clrun.records.run_record import versions
from clrun.records.unfinished import Unfinished, open_unfinished
from clrun.runner.interrupt import Interrupted, noted_signals
from clrun.runner.prepare import LoadedStream, Prepared, ready
from clrun.runner.resume import continuation, device_as_recorded
from clrun.sweep.gpus import choose_gpu
from clrun.sweep.hydra_part import HydraPart
from clrun.sweep.messages import Begin
from clrun.sweep.sharing import run_part

Say = Callable[[str], None]

PATIENCE_SECONDS = 20.0
"""How long it is waited for the process that had the unit before and is just being killed."""

LOOK_SECONDS = 0.1

SETTLED = ("device", "channels_last")
"""What was chosen once for all jobs of a sweep on this machine: what a run measures to choose may
come out otherwise the next time."""

INTERRUPTED = 130


def run_unit(begin: Begin, stream: LoadedStream, hydra: HydraPart, note: Say, reason: Say) -> int:
    """Run the unit, or go on with it; the exit code. `reason` is given what failed, in a line."""
    try:
        with noted_signals():
            _run(begin, stream, hydra, note)
    except Interrupted as error:
        reason(error.brief)  # the sweep goes on, not the job alone
        return error.exit_code
    except KeyboardInterrupt:
        reason("interrupted.")
        return INTERRUPTED
    except ClrunError as error:
        reason(str(error).splitlines()[0])
        return error.exit_code
    except SystemExit as error:
        return _left(error, reason)
    except BaseException as error:
        traceback.print_exc()  # goes to the log
        reason(f"{type(error).__name__}: {error}".splitlines()[0])
        return 1
    return 0


def _left(error: SystemExit, reason: Say) -> int:
    """A run that left by itself did not complete, whatever code it gave."""
    reason(f"SystemExit: {error.code}")
    return error.code if isinstance(error.code, int) and 0 < error.code < 128 else 1


def _run(begin: Begin, stream: LoadedStream, hydra: HydraPart, note: Say) -> None:
    unit = begin.unit
    _wait_for_lock(unit.folder)
    if run_status(unit.folder) is None:
        config, resumed, folder = RunConfig.of_plain(unit.config), None, RunFolder(unit.folder)
    else:
        _require_own(begin)
        unfinished = open_unfinished(unit.folder)
        if unfinished is None:
            return
        config, resumed, folder = unfinished.config, unfinished, unfinished.folder
    forget_peak()
    try:
        with _in_log(unit.folder, hydra.log), _noted(note):
            hydra.enter(unit, config)
            with hydra.called_back(unit, config):
                choose_gpu(config.nodes["device"], begin.slot)
                if resumed is not None:
                    _go_on(begin, stream, resumed)
                else:
                    _start(begin, stream, config, folder)
    finally:
        folder.close()


def _go_on(begin: Begin, stream: LoadedStream, resumed: Unfinished) -> None:
    with doing("reading the model"):
        again = continuation(resumed, force=begin.force, stream=stream)
    run_part(begin.unit, again.prepared, resumed.folder, again.state)


def _start(begin: Begin, stream: LoadedStream, config: RunConfig, folder: RunFolder) -> None:
    with doing("reading the model"):
        prepared = ready(config, device=_device(begin, config), stream=stream)
        _require_same(begin, prepared)
    run_part(begin.unit, prepared, folder)


def _device(begin: Begin, config: RunConfig) -> Node | None:
    """The device that was chosen when the sweep was written, on this machine, and the threads.

    Raises:
        FolderError: it is not there, and that is not forced.
    """
    unit = begin.unit
    known = {key: unit.identity[key] for key in SETTLED if key in unit.identity}
    record = {**known, "threads": unit.threads}
    return device_as_recorded(record, config.nodes["device"], unit.folder, force=begin.force)


def _wait_for_lock(folder: Path) -> None:
    """Let a process that is being killed give the folder back."""
    patience = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < patience and not locks.is_free(folder / LOCK):
        time.sleep(LOOK_SECONDS)


def _require_own(begin: Begin) -> None:
    """Refuse a folder that holds another run.

    Raises:
        FolderError: it does.
    """
    record, job = read_record(begin.unit.folder), begin.unit.job
    if job is not None and record.get("config_hash") not in (None, job.hash):
        raise FolderError(f"{begin.unit.folder}: holds another run, {record.get('config_hash')}.")


def _require_same(begin: Begin, prepared: Prepared) -> None:
    """Refuse to run what would not give the numbers that the job was to give.

    Raises:
        FolderError: something is another than when the sweep was written, and it is not forced.
    """
    if begin.unit.job is None or begin.force:
        return
    was = begin.unit.job.identity
    chooser = None if prepared.chooser is None else origin(prepared.chooser.model)
    now: dict[str, Any] = {
        "config_hash": prepared.config.hash(),
        "versions": versions(),
        "code": code_of(prepared.config),
        **prepared.machine,
        "data": {"fingerprint": prepared.fingerprint},
        "weights": origin(prepared.model),
        "chooser": chooser,
    }
    different = differences(was, {key: now[key] for key in was if key in now})
    if different:
        raise FolderError(
            f"{begin.unit.folder}: would not give the numbers that this job was to give. "
            f"{'; '.join(different)}. With --force it is run nevertheless."
        )


@contextmanager
def _in_log(folder: Path, name: str) -> Iterator[None]:
    """Let what this process prints go to the log of its run, a crash's last words too."""
    path = folder / f"{name}.log"
    with storage_errors(path):
        log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.close(log)
    faulthandler.enable(sys.stderr)
    try:
        yield
    finally:
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()


class _NoteHandler(logging.Handler):
    def __init__(self, say: Say) -> None:
        super().__init__()
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        self._say(record.getMessage())


@contextmanager
def _noted(note: Say) -> Iterator[None]:
    """Hand on what the run itself finds worth a line; the log has it too."""
    logger, handler = logging.getLogger("clrun.note"), _NoteHandler(note)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
