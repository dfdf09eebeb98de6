"""A unit of work that runs, for the display: where it is, and how fast it goes."""

from __future__ import annotations

import time

from clrun.console.display import clock_time
from clrun.console.sweep_display import kind
from clrun.console.sweep_live import Running
from clrun.console.time_left import Going, TimeLeft
from clrun.records.log_tail import LogEnd, LogTail
from clrun.records.run_folder import RUNNING, read_record
from clrun.sweep.events import Started
from clrun.sweep.listed import Listed, sizes
from clrun.sweep.progress import JobState, where

SILENT_SECONDS = 60.0
"""After which it is said of a job that it wrote nothing in its log"""


class GoingUnit:
    """A unit of work that runs."""

    def __init__(self, event: Started, job: Listed) -> None:
        self.job, self._event, self._began = job, event, time.monotonic()
        self._tail = LogTail(event.folder / "metrics.jsonl")
        self._end: LogEnd | None = None
        self._before = 0.0
        self.look()
        self.is_resumed = self._end is not None
        self._before = self._state().done

    def look(self) -> None:
        """See how far it is now."""
        self._end = self._tail.read()
        if self.job.number is None and self.job.epochs is None:  # its record says it, once there
            epochs, experiences = sizes(read_record(self._event.folder).get("config") or {})
            self.job = self.job._replace(epochs=epochs, experiences=experiences)

    def going(self) -> Going:
        """What is known of its pace."""
        state, seconds = self._state(), time.monotonic() - self._began
        inherited = None if self._end is None else self._end.inherited
        before = max(self._before, state.share(*inherited) if inherited else 0.0)
        return Going(kind(self.job.values), seconds, state.done, before, self.is_resumed)

    def row(self, name: str, time_left: TimeLeft) -> Running:
        """What the table shows."""
        state = self._state()
        of = f"/{state.experiences}" if state.experiences else ""
        return Running(
            name=name,
            state=self._how(state),
            experience="" if state.experience is None else f"{state.experience + 1}{of}",
            accuracy=state.accuracy,
            seconds_left=None if self.job.number is None else time_left.left(self.going()),
        )

    def _how(self, state: JobState) -> str:
        silent = time.time() - self._end.written if self._end else time.monotonic() - self._began
        if silent > SILENT_SECONDS:
            return f"silent {clock_time(silent)}"
        if self._event.attempt > 1 and not self.is_resumed:
            return f"attempt {self._event.attempt}"
        if state.experience is None:
            return "starting"
        return "shared" if self.job.number is None else RUNNING

    def _state(self) -> JobState:
        fields = where(self._end, self.job)
        return JobState(number=self.job.number, values={}, folder="", state=RUNNING, **fields)
