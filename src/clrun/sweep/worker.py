"""A worker: takes one unit of a sweep after the other, runs each in a process of its own, and keeps
what became of it. Any number of workers may do the same sweep at once, on any hosts. No torch here.
"""

from __future__ import annotations

import platform
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clrun.records.run_record import utc_now
from clrun.runner.interrupt import CollectedSignals, collected_signals
from clrun.sweep import prefix
from clrun.sweep.events import Ended, Noted, OnEvent, Retried, Started
from clrun.sweep.manifest import read_manifest
from clrun.sweep.messages import Begin, Done, Note
from clrun.sweep.outcomes import COMPLETED, FAILED, INTERRUPTED, JobOutcome, keep_outcome
from clrun.sweep.pool import Pool
from clrun.sweep.queue import Queue, Taken
from clrun.sweep.record import SweepOptions
from clrun.sweep.running import Act, Running
from clrun.sweep.unit import Unit
from clrun.sweep.verdict import DIED, Verdict, before_it_runs, of_its_end
from clrun.sweep.worker_log import WorkerLog, starts

LOOK_SECONDS = 2.0
"""How often it is looked whether what others had is left: their process may have died."""


@dataclass(frozen=True)
class Worked:
    """What a worker came to."""

    completed: int
    failed: int
    signal: int | None = None
    """what ended it before there was nothing left"""
    killed: int = 0
    """units that did not end upon that signal, whose last saved states stand"""


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
        self._running: dict[str, Running] = {}
        self._starts = starts(self._path)
        self._killed = 0
        self._ends = {COMPLETED: 0, FAILED: 0, INTERRUPTED: 0}
        self._noted: set[str] = set()
        self._passed_on: int | None = None
        """the signal that the running units were given"""
        self._looked = time.monotonic()

    def run(self) -> Worked:
        """Work until nothing is left, for any worker, or a signal arrives.

        The first signal is handed on, and waited until all have saved their state; what has not
        after `running.SAVE_SECONDS` is killed. A second Ctrl-C raises `Stop`.

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
        return Worked(self._ends[COMPLETED], self._ends[FAILED], self._passed_on, self._killed)

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
        running = Running(taken, self._starts[taken.unit.name])
        verdict = before_it_runs(running, self._options)
        if verdict is not None:
            self._end(running, verdict, 0 if verdict.status == COMPLETED else None)
            return
        running.slot = self._free.pop()
        self._running[taken.unit.name] = running
        self._begin(running)

    def _begin(self, running: Running) -> None:
        unit = running.unit
        running.begin(self._options.time_limit)
        self._log.write("started", unit.name, attempt=running.attempts, slot=running.slot)
        self._say(Started(**_event(unit), attempt=running.attempts))
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
        if message.trace is not None:
            self._log.write("raised", message.name, traceback=message.trace)
        verdict = of_its_end(running, message, self._options, self._passed_on)
        if verdict.status == DIED:
            self._retry(running, verdict, message.code)
        else:
            self._killed += running.is_killed and verdict.status == INTERRUPTED
            self._end(running, verdict, message.code)

    def _retry(self, running: Running, verdict: Verdict, code: int) -> None:
        self._log_end(running, verdict, code)
        reason = str(verdict.reason)
        self._say(Retried(**_event(running.unit), reason=reason, attempt=running.attempts))
        self._begin(running)

    def _end(self, running: Running, verdict: Verdict, code: int | None) -> None:
        """Keep what became of a unit, and give it back."""
        unit = running.unit
        outcome = JobOutcome(
            status=verdict.status,
            reason=verdict.reason,
            exit_code=code,
            attempts=running.attempts,
            seconds=round(running.seconds, 3),
            host=platform.node(),
            ended=utc_now(),
        )
        keep_outcome(unit.outcome, outcome)
        self._log_end(running, verdict, code)
        if self._running.pop(unit.name, None) is not None:
            self._free.append(running.slot)
        self._queue.over(running.taken, outcome)
        if unit.job is None:
            self._queue.look_again()  # for those that need it
        else:
            self._ends[verdict.status] += 1
        self._say(Ended(**_event(unit), outcome=outcome))

    def _log_end(self, running: Running, verdict: Verdict, code: int | None) -> None:
        at = {"attempt": running.attempts, **verdict._asdict(), "exit_code": code}
        self._log.write("ended", running.unit.name, **at)

    def _pass_on(self, signals: CollectedSignals) -> None:
        """Let running units have the signal that was received."""
        if signals.first is None or self._passed_on is not None:
            return
        self._passed_on = signals.first
        signals.heard()
        for name, running in self._running.items():
            self._pool.send(name, signals.first)
            running.asked_to_end()

    def _patience(self) -> float | None:
        """How long there is nothing to do but wait."""
        acts = (running.next_act for running in self._running.values())
        moments = [act for act in acts if act is not None]
        if self._free and not self._is_stopping and not self._queue.is_empty:
            moments.append(time.monotonic() + LOOK_SECONDS)
        return max(0.0, min(moments) - time.monotonic()) if moments else None

    def _remind(self) -> None:
        """See to it that units end whose time is over; look what others had."""
        for name, running in self._running.items():
            match running.due():
                case Act.ASK:
                    self._pool.send(name, signal.SIGTERM)
                case Act.KILL:
                    self._pool.send(name, signal.SIGKILL)
                case Act.KILL_HOLDER:
                    self._pool.kill_holder_of(name)
        now = time.monotonic()
        if self._free and now - self._looked > LOOK_SECONDS:
            self._looked = now
            self._queue.look_again()


def _event(unit: Unit) -> dict[str, Any]:
    number = None if unit.job is None else unit.job.number
    return {"name": unit.name, "number": number, "folder": unit.folder}
