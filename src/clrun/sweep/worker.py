"""A worker: takes one unit of a sweep after the other, runs each in a process of its own, and keeps
what became of it. Any number of workers may do the same sweep at once, on any hosts. No torch here.
"""

from __future__ import annotations

import platform
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clrun.records.outcome import holds_completed
from clrun.records.run_record import utc_now
from clrun.runner.interrupt import CollectedSignals, collected_signals
from clrun.sweep import prefix
from clrun.sweep.endings import death, signal_name
from clrun.sweep.events import Ended, Noted, OnEvent, Retried, Started
from clrun.sweep.manifest import read_manifest
from clrun.sweep.messages import Begin, Done, Note
from clrun.sweep.outcomes import COMPLETED, FAILED, INTERRUPTED, JobOutcome, keep_outcome
from clrun.sweep.pool import Pool
from clrun.sweep.queue import Queue, Taken
from clrun.sweep.record import SweepOptions
from clrun.sweep.unit import Unit
from clrun.sweep.worker_log import WorkerLog

LOOK_SECONDS = 2.0
"""How often it is looked whether what others had is left: their process may have died."""

SAVE_SECONDS = 20.0
"""How long a unit whose time is over may take to save its state."""

END_SECONDS = 5.0
"""How long its process may take to be gone once it is killed."""

SIGNALLED = 128


@dataclass(frozen=True)
class Worked:
    """What a worker came to."""

    completed: int
    failed: int
    signal: int | None = None
    """what ended it before there was nothing left"""


@dataclass
class _Running:
    """A unit in a process."""

    taken: Taken
    slot: int
    attempt: int
    """of this worker, counted from 1"""
    begun: float
    """by a clock that is never set"""
    seconds: float = 0.0
    """of earlier attempts of this worker"""
    reminders: list[float] = field(default_factory=list)
    """when it is asked to end, killed, and killed with its holder"""
    is_late: bool = False

    @property
    def unit(self) -> Unit:
        return self.taken.unit


class Worker:
    """Does what is missing of the sweep in a folder, so many units at a time.

    Raises:
        ConfigError: there is no sweep, or it is damaged.
    """

    def __init__(
        self,
        path: Path,
        slots: int,
        options: SweepOptions,
        on_event: OnEvent,
        *,
        units: Sequence[Unit] | None = None,
        retry_failed: bool = False,
        force: bool = False,
    ) -> None:
        """`units`: those of the sweep, which its manifest says."""
        self._path, self._options, self._say = path.absolute(), options, on_event
        self._force = force
        if units is None:
            units = prefix.units(self._path, read_manifest(self._path), options)
        self._queue = Queue(units, retry_failed=retry_failed)
        self._pool = Pool(self._path)
        self._free = list(range(slots))[::-1]
        self._running: dict[str, _Running] = {}
        self._ends = {COMPLETED: 0, FAILED: 0, INTERRUPTED: 0}
        self._noted: set[str] = set()
        self._passed_on: int | None = None
        """the signal that the running units were given"""
        self._looked = time.monotonic()

    def run(self) -> Worked:
        """Work until nothing is left, for any worker, or a signal arrives.

        The first signal is handed on, and waited until all have saved their state. A second Ctrl-C
        raises `Stop`.

        Raises:
            ClrunError: no process can be started, or the sweep's folder cannot be written.
        """
        log = self._log = WorkerLog(self._path)
        try:
            with collected_signals() as signals:
                while self._goes_on(signals):
                    messages = self._pool.wait(self._patience(), signals.woken)
                    self._pass_on(signals)
                    for message in messages:
                        self._hear(message)
                    self._remind()
        finally:
            self._pool.close()
            prefix.tidy(self._path)
            for running in self._running.values():
                running.taken.lease.release()
            log.close()
        return Worked(self._ends[COMPLETED], self._ends[FAILED], self._passed_on)

    def _goes_on(self, signals: CollectedSignals) -> bool:
        """Start what can be started; whether there is something to wait for."""
        self._pass_on(signals)
        while self._free and not self._is_stopping:
            taken = self._queue.next()
            if taken is None:
                break
            self._take(taken)
        self._pool.keep(self._queue.has)
        return bool(self._running) or not (self._is_stopping or self._queue.is_empty)

    @property
    def _is_stopping(self) -> bool:
        """Whether nothing more is started."""
        stops_on_error = self._options.on_error == "stop" and self._ends[FAILED] > 0
        return self._passed_on is not None or stops_on_error

    def _take(self, taken: Taken) -> None:
        unit = taken.unit
        if unit.job is not None and holds_completed(unit.folder, unit.job.hash):
            self._end(_Running(taken, -1, 0, time.monotonic()), COMPLETED, None, 0)
        else:
            running = _Running(taken, self._free.pop(), 0, time.monotonic())
            self._running[unit.name] = running
            self._begin(running)

    def _begin(self, running: _Running) -> None:
        unit, limit = running.unit, self._options.time_limit
        running.attempt += 1
        running.begun = time.monotonic()
        if limit is not None:
            ask = running.begun + limit
            kill = ask + SAVE_SECONDS
            running.reminders = [ask, kill, kill + END_SECONDS]
        attempt = running.attempt + _attempts(running.taken)
        self._log.write("started", unit.name, attempt=attempt, slot=running.slot)
        self._say(Started(**_event(unit), attempt=attempt))
        self._pool.begin(Begin(unit=unit, slot=running.slot, force=self._force))

    def _hear(self, message: Note | Done) -> None:
        running = self._running.get(message.name)
        if running is None:
            return
        if isinstance(message, Note):
            if message.text not in self._noted:
                self._noted.add(message.text)
                self._say(Noted(**_event(running.unit), text=message.text))
            return
        unit, code = running.unit, message.code
        is_killed = code < 0 or code > SIGNALLED
        reason = message.reason or _end(code)
        if code == 0 or (unit.job is not None and holds_completed(unit.folder, unit.job.hash)):
            self._end(running, COMPLETED, None, code)
        elif running.is_late:
            limit = f"ran longer than sweep.time_limit={self._options.time_limit:g} seconds"
            self._end(running, FAILED, limit, code)
        elif is_killed and self._passed_on is not None:
            self._end(running, INTERRUPTED, reason, code)
        elif is_killed and running.attempt <= self._options.retries:
            self._retry(running, reason, code)
        else:
            times = f", {running.attempt} times" if is_killed and running.attempt > 1 else ""
            self._end(running, FAILED, f"{reason}{times}", code)

    def _retry(self, running: _Running, reason: str, code: int) -> None:
        attempt = running.attempt + _attempts(running.taken)
        seconds = time.monotonic() - running.begun
        running.seconds += seconds
        self._log_end(running, "died", reason, code)
        self._say(Retried(**_event(running.unit), reason=reason, attempt=attempt))
        self._begin(running)

    def _end(self, running: _Running, status: str, reason: str | None, code: int | None) -> None:
        """Keep what became of a unit, and give it back."""
        taken, unit = running.taken, running.unit
        before = 0.0 if taken.before is None else taken.before.seconds
        seconds = running.seconds + time.monotonic() - running.begun
        outcome = JobOutcome(
            status=status,
            reason=reason,
            exit_code=code,
            attempts=running.attempt + _attempts(taken),
            seconds=round(before + seconds, 3),
            host=platform.node(),
            ended=utc_now(),
        )
        keep_outcome(unit.outcome, outcome)
        self._log_end(running, status, reason, code)
        if self._running.pop(unit.name, None) is not None:
            self._free.append(running.slot)
        self._queue.over(taken, outcome)
        if unit.job is None:
            self._queue.look_again()  # for those that need it
        else:
            self._ends[status] += 1
        self._say(Ended(**_event(unit), outcome=outcome))

    def _log_end(
        self, running: _Running, status: str, reason: str | None, code: int | None
    ) -> None:
        self._log.write(
            "ended",
            running.unit.name,
            attempt=running.attempt + _attempts(running.taken),
            status=status,
            reason=reason,
            exit_code=code,
        )

    def _pass_on(self, signals: CollectedSignals) -> None:
        """Let running units have the signal that was received."""
        if signals.first is None or self._passed_on is not None:
            return
        self._passed_on = signals.first
        signals.heard()
        for name in self._running:
            self._pool.send(name, signals.first)

    def _patience(self) -> float | None:
        """How long there is nothing to do but wait."""
        moments = [each.reminders[0] for each in self._running.values() if each.reminders]
        if self._free and not self._is_stopping and not self._queue.is_empty:
            moments.append(time.monotonic() + LOOK_SECONDS)
        return max(0.0, min(moments) - time.monotonic()) if moments else None

    def _remind(self) -> None:
        """Ask units whose time is over to end, and see to it that they do; look what others had."""
        now = time.monotonic()
        for name, running in self._running.items():
            if running.reminders and running.reminders[0] <= now:
                running.is_late = True
                del running.reminders[0]
                if len(running.reminders) == 2:
                    self._pool.send(name, signal.SIGTERM)
                elif len(running.reminders) == 1:
                    self._pool.send(name, signal.SIGKILL)
                else:
                    self._pool.kill_holder_of(name)
        if self._free and now - self._looked > LOOK_SECONDS:
            self._looked = now
            self._queue.look_again()


def _event(unit: Unit) -> dict[str, Any]:
    number = None if unit.job is None else unit.job.number
    return {"name": unit.name, "number": number, "folder": unit.folder}


def _attempts(taken: Taken) -> int:
    return 0 if taken.before is None else taken.before.attempts


def _end(code: int) -> str:
    """What is said of a process that said nothing of its end."""
    if code < 0:
        return death(-code)
    if code > SIGNALLED:
        return f"was interrupted by {signal_name(code - SIGNALLED)}"
    return f"ended with exit code {code}"
