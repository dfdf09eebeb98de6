"""The display of a sweep whose jobs this process starts: what runs now, and a line for each that
ended."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from clrun.console.sweep_display import kind, print_ended, short_name, with_time
from clrun.console.sweep_live import RunningTable
from clrun.console.time_left import TimeLeft
from clrun.records.outcome import Outcome
from clrun.records.results_end import read_numbers
from clrun.sweep.events import Ended, Event, Noted, Retried, Started
from clrun.sweep.going import GoingUnit
from clrun.sweep.listed import Listed, each_listed
from clrun.sweep.outcomes import COMPLETED, FAILED, JobOutcome
from clrun.sweep.progress import Looked

OTHERS_SECONDS = 5.0
"""How often it is looked what other workers have done"""

Line = Callable[[], None]
"""Prints a line"""

SHARED = Listed(None, {}, "", "", None, None)


class LiveSweep:
    """Shows what a worker says, on a terminal with a table of what runs; elsewhere lines alone.

        with LiveSweep(path, console, slots) as live:
            work(path, options, live.on_event)

    How far a job is, the end of its log says, which is read about once a second.
    """

    def __init__(
        self, path: Path, console: Console, slots: int, *, retry_failed: bool = False
    ) -> None:
        """`slots`: how many jobs run at a time."""
        self._path, self._console, self._slots = path, console, slots
        self._jobs = list(each_listed(path))
        self._over: dict[int, str] = {}
        self._tried_again: dict[int, JobOutcome] = {}
        if retry_failed:
            over = self._newly_over()
            self._tried_again = {n: each for n, each in over if each.status == FAILED}
        self._time_left = TimeLeft([kind(job.values) for job in self._jobs])
        self._going: dict[str, GoingUnit] = {}
        self._lock = threading.Lock()
        self._lines: dict[type[Event], Callable[[Any], Line | None]] = {
            Started: self._started,
            Retried: self._retried,
            Noted: self._noted,
            Ended: self._ended,
        }
        self._look_again = math.inf
        self._live = Live(
            console=console, get_renderable=self._table, refresh_per_second=1, transient=True
        )
        self._look_again = 0.0

    def __enter__(self) -> Self:
        for number, outcome in self._newly_over():
            self._count(number, outcome, is_ours=False)
        self._console.print(Text(self._first_line()), soft_wrap=True)
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            self._live.start()
        return self

    def _first_line(self) -> str:
        """What was done before, and the folder: who looks on needs it before the end."""
        folder = f"Results: {self._path}"
        if not self._over:
            return folder
        jobs = f"{len(self._jobs)} job{'' if len(self._jobs) == 1 else 's'}"
        kept = Counter(self._over.values())
        before = ", ".join(f"{count} {status}" for status, count in sorted(kept.items()))
        return f"{jobs}: {before} before. {folder}"

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live.stop()

    def on_event(self, event: Event) -> None:
        """Show that something happened."""
        with self._lock:  # not while something is printed: the table that moves waits for that
            line = self._lines[type(event)](event)
        if line is not None:
            line()

    def _started(self, event: Started) -> None:
        job = SHARED if event.number is None else self._jobs[event.number]
        self._going[event.name] = GoingUnit(event, job)

    def _retried(self, event: Retried) -> Line:
        self._going.pop(event.name, None)
        text = f"goes on  {self._name(event)}: {event.reason} (attempt {event.attempt})"
        return partial(self._say, text, "yellow")

    def _noted(self, event: Noted) -> Line:
        return partial(self._say, f"clrun: note: {event.text}")

    def _ended(self, event: Ended) -> Line | None:
        going = self._going.pop(event.name, None)
        if event.number is None:
            text = f"failed  {self._name(event)}: {event.outcome.reason}"
            is_failed = event.outcome.status == FAILED
            return partial(self._say, text, "bold red") if is_failed else None
        self._count(event.number, event.outcome, is_ours=going is not None and not going.is_resumed)
        self._see_others()
        is_said = self._live.is_started or len(self._over) == len(self._jobs)
        left = None if is_said else self._left()  # the table says it too
        start = with_time(f"{len(self._over)} of {len(self._jobs)}", left)
        outcome = self._outcome(self._jobs[event.number], event.outcome)
        return partial(print_ended, self._console, start, outcome, event.outcome.seconds)

    def _count(self, number: int, outcome: JobOutcome, *, is_ours: bool) -> None:
        """Note that a job is over, and how long it took here from its beginning to its end."""
        if outcome.status not in (COMPLETED, FAILED):
            return
        measured = is_ours and outcome.status == COMPLETED and outcome.attempts <= 1
        if number not in self._over:
            of_kind = kind(self._jobs[number].values)
            self._time_left.ended(of_kind, outcome.seconds if measured else None)
        self._over[number] = outcome.status

    def _outcome(self, job: Listed, given: JobOutcome) -> Outcome:
        is_done = given.status == COMPLETED
        return Outcome(
            values=job.values or {"folder": job.folder},
            status=given.status,
            reason=given.reason,
            metrics=read_numbers(self._path / job.folder).metrics if is_done else {},
        )

    def _say(self, text: str, style: str = "") -> None:
        line = Text(text, style=style if self._console.is_terminal else "")
        self._console.print(line, soft_wrap=True)

    def _name(self, event: Event) -> str:
        return _label(event.name, None if event.number is None else self._jobs[event.number])

    def _newly_over(self) -> list[tuple[int, JobOutcome]]:
        """Jobs that became over, by whoever's work."""
        folder = Looked(self._path)
        found = ((n, folder.outcome(n)) for n in range(len(self._jobs)) if n not in self._over)
        return [(n, each) for n, each in found if each and self._is_over(n, each)]

    def _is_over(self, number: int, outcome: JobOutcome) -> bool:
        is_over = outcome.status in (COMPLETED, FAILED)
        return is_over and outcome != self._tried_again.get(number)

    def _left(self) -> float | None:
        going = [each.going() for each in self._going.values() if each.job.number is not None]
        return self._time_left.now(going, self._slots)

    def _see_others(self) -> None:
        """Count what other workers have done, now and then."""
        if time.monotonic() < self._look_again:
            return
        self._look_again = time.monotonic() + OTHERS_SECONDS
        ours = {each.job.number for each in self._going.values()}
        for number, outcome in self._newly_over():
            if number not in ours:
                self._count(number, outcome, is_ours=False)

    def _table(self) -> RunningTable:
        with self._lock:
            self._see_others()
            for each in self._going.values():
                each.look()
            rows = [
                each.row(_label(n, each.job), self._time_left) for n, each in self._going.items()
            ]
            return RunningTable(rows, *self._totals())

    def _totals(self) -> tuple[str, str]:
        """How all jobs stand together, and the same in fewer words."""
        counts, number, left = Counter(self._over.values()), len(self._jobs), self._left()
        failed = f", {counts[FAILED]} failed" if counts[FAILED] else ""
        running = f", {len(self._going)} running"
        long = with_time(f"{counts[COMPLETED]} of {number} done{failed}{running}", left)
        return long, with_time(f"{counts[COMPLETED]}/{number}{failed}", left)


def _label(name: str, job: Listed | None) -> str:
    """What a unit of work is called on the screen."""
    if job is None or job.number is None:
        return name
    return short_name(job.values) or job.folder
