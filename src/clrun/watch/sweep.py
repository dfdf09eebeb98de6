"""Watching a sweep from another process, by its folder alone: what runs, and what ended."""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.text import Text

from clrun.console.display import clock_time
from clrun.console.sweep_display import kind, print_ended, short_name, with_time
from clrun.console.sweep_live import Running, RunningTable
from clrun.console.sweep_table import print_sweep
from clrun.console.time_left import Going, TimeLeft
from clrun.console.trials_table import print_trials
from clrun.errors import ConfigError
from clrun.records.outcome import Outcome
from clrun.records.results_end import read_numbers
from clrun.records.run_folder import RUNNING
from clrun.sweep.folder import SweepFolder
from clrun.sweep.listed import Listed, each_listed
from clrun.sweep.outcomes import COMPLETED, FAILED
from clrun.sweep.progress import JobState, Looked
from clrun.sweep.status import read_status
from clrun.sweep.summary import rows
from clrun.watch.pause import Pause

GRACE_SECONDS = 10.0
"""So long nobody works on a sweep before it is said so: workers take a while to begin."""

SILENT_SECONDS = 60.0
"""After which it is said of a job that it wrote nothing in its log"""


class SweepNow:
    """The jobs of a sweep, looked at again and again; one that completed is not looked at more."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._listed: tuple[int, int] | None = None
        self._jobs: list[Listed] = []
        self._completed: dict[int, JobState] = {}
        self._over: dict[int, JobState] = {}
        self._left = TimeLeft([])
        self.running: list[JobState] = []
        self._counts: Counter[str] = Counter()

    def look(self) -> list[JobState]:
        """See how the jobs stand; those that became over since the last look."""
        self._list()
        looked = Looked(self.path)
        states = [
            self._completed.get(number) or looked.state(job)
            for number, job in enumerate(self._jobs)
        ]
        self.running = [state for state in states if state.state == RUNNING] + looked.shared()
        self._counts = Counter(state.state for state in states)
        before, self._over = self._over, {}
        for number, state in enumerate(states):
            if state.state == COMPLETED and number not in self._completed:
                self._completed[number] = state
                self._left.ended(kind(state.values), state.seconds)
            if state.state in (COMPLETED, FAILED):
                self._over[number] = state
        return [state for number, state in self._over.items() if number not in before]

    def _list(self) -> None:
        """Read the manifest, which gets more jobs where somebody adds some or a study goes on.

        Raises:
            ConfigError: it is gone.
        """
        try:
            status = os.stat(SweepFolder(self.path).manifest)
        except OSError:
            raise ConfigError(f"{self.path}: is gone: it was removed or renamed.") from None
        if self._listed == (status.st_size, status.st_mtime_ns):
            return
        self._listed = status.st_size, status.st_mtime_ns
        self._jobs = list(each_listed(self.path))
        self._left = TimeLeft([kind(job.values) for job in self._jobs])
        for state in self._completed.values():
            self._left.ended(kind(state.values), state.seconds)

    def is_over(self) -> bool:
        """Whether nothing is left to do; a study whose trials are over may have more to come."""
        return len(self._over) == len(self._jobs) and read_status(self.path).are_over()

    def table(self) -> RunningTable:
        """What runs, with the total below."""
        running = [self._row(state) for state in self.running]
        return RunningTable(running, *self._totals())

    def line(self) -> str:
        """How all jobs stand together."""
        return self._totals()[0]

    def counts(self) -> Counter[str]:
        """How many jobs are in which state."""
        return self._counts

    def count(self) -> str:
        """How many are over, of how many."""
        return f"{len(self._over)} of {len(self._jobs)}"

    def _row(self, state: JobState) -> Running:
        of = f"/{state.experiences}" if state.experiences else ""
        silent = state.silent or 0.0
        return Running(
            name=short_name(state.values) or Path(state.folder).name,
            state=f"silent {clock_time(silent)}" if silent > SILENT_SECONDS else _how(state),
            experience="" if state.experience is None else f"{state.experience + 1}{of}",
            accuracy=state.accuracy,
            seconds_left=None if state.number is None else self._left.left(_going(state)),
        )

    def _totals(self) -> tuple[str, str]:
        """How all jobs stand together, and the same in fewer words."""
        going = [_going(state) for state in self.running if state.number is not None]
        left = self._left.now(going, max(len(going), 1)) if going else None
        done, number = self._counts[COMPLETED], len(self._jobs)
        failed = f", {self._counts[FAILED]} failed" if self._counts[FAILED] else ""
        running = f", {len(self.running)} running"
        long = with_time(f"{done} of {number} done{failed}{running}", left)
        return long, with_time(f"{done}/{number}{failed}", left)


def watch_sweep(folder: Path, console: Console, every: float, *, once: bool = False) -> None:
    """Show the sweep until nobody works on it: on a terminal what runs in a table that moves, and
    a line for each job that ended; elsewhere lines alone."""
    sweep = SweepNow(folder)
    before = len(sweep.look())
    if once:
        console.print(sweep.table())
        if not sweep.running:
            _print_end(console, folder)
        return
    if before:
        console.print(Text(f"{sweep.count()} jobs were over before."), soft_wrap=True)
    is_live = console.is_terminal and not console.is_dumb_terminal
    live = Live(console=console, get_renderable=sweep.table, auto_refresh=False, transient=True)
    if is_live:
        with live:
            _follow(sweep, console, every, live)
    else:
        _follow(sweep, console, every, None)
    _print_end(console, folder)


def _follow(sweep: SweepNow, console: Console, every: float, live: Live | None) -> None:
    """Show what happens until all is over, or nobody works on the sweep."""
    alive, said, pause = time.monotonic(), Counter[str](), Pause(every)
    while not sweep.is_over():
        if live is not None:
            live.refresh()
        elif sweep.counts() != said:
            said = sweep.counts()
            console.print(Text(sweep.line()), soft_wrap=True)
        pause.wait()
        for state in sweep.look():
            _print_ended(console, sweep, state)
        if sweep.running:
            alive = time.monotonic()
        elif time.monotonic() - alive > GRACE_SECONDS:
            if read_status(sweep.path).way_on():
                return
            alive = time.monotonic()  # an engine will go on


def _print_ended(console: Console, sweep: SweepNow, state: JobState) -> None:
    is_done = state.state == COMPLETED
    outcome = Outcome(
        values=state.values or {"folder": state.folder},
        status=state.state,
        reason=state.reason,
        metrics=read_numbers(sweep.path / state.folder).metrics if is_done else {},
    )
    print_ended(console, sweep.count(), outcome, state.seconds or 0.0)


def _print_end(console: Console, path: Path) -> None:
    """The table of what completed, the best of it, what failed and how to go on."""
    status = read_status(path)
    if status.study is None:
        outcomes = [row.outcome for row in rows(path)]
        print_sweep(console, outcomes, path, None, way_on=status.way_on())
        return
    found = status.study
    print_trials(console, found.trials(), found.study.metric, found.study.better)
    for text in (*found.lines(), f"Results: {path}", status.way_on()):
        if text:
            console.print(Text(text), soft_wrap=True)


def _going(state: JobState) -> Going:
    return Going(kind(state.values), state.seconds or 0.0, state.done)


def _how(state: JobState) -> str:
    if state.experience is None:
        return "starting"
    return "shared" if state.number is None else RUNNING
