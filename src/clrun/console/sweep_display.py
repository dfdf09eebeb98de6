"""What a person sees while a sweep goes on: one line that moves, and a line for each job."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from clrun.console.display import Pace, SilentDisplay, clock_time
from clrun.console.time_left import Going, TimeLeft
from clrun.records.outcome import COMPLETED, Outcome, job_name, unseeded

BAR_WIDTH, LEFT_WIDTH, LEAST_NAME = 8, 9, 16
"""LEFT_WIDTH: of "0:41 left", which stays where it is when it comes and goes."""
BESIDE_NAME = len("  ") + BAR_WIDTH + len("  53% ") + LEFT_WIDTH + len("^C ")
"""Columns of the other things; a terminal writes ^C after the line, which must not break it, and
rich before 15 writes two spaces before the bar."""


class SweepDisplay:
    """Counts the jobs of a sweep, and shows each as it runs and when it ended."""

    def __init__(self, console: Console, jobs: Sequence[Mapping[str, str]] | None) -> None:
        """`jobs` are the swept values of each job, None where a sweeper proposes them."""
        self.console = console
        self._total = None if jobs is None else len(jobs)
        self._time_left = TimeLeft([kind(job) for job in jobs or []])
        self._ended = 0

    def job(self, values: Mapping[str, str]) -> JobDisplay:
        """What shows the run of the next job."""
        return JobDisplay(self, values)

    def ended(self, outcome: Outcome, seconds: float) -> None:
        """Count a job that took so long."""
        self._ended += 1
        ran = outcome.status == COMPLETED and not outcome.is_kept
        self._time_left.ended(kind(outcome.values), seconds if ran else None)

    def line(self, outcome: Outcome, seconds: float) -> None:
        """Leave a line about the job that was counted last."""
        left = None if self._ended == self._total or not self._total else self._time_left.now()
        print_ended(self.console, with_time(self.count(self._ended), left), outcome, seconds)

    def count(self, number: int) -> str:
        """ "7 of 12"; or "job 6", by the number that Hydra gives it, where nobody knows of how
        many."""
        return f"job {number - 1}" if self._total is None else f"{number} of {self._total}"

    def described(self, values: Mapping[str, str], seconds: float, done: float) -> tuple[str, str]:
        """Which job runs, and the time that is left for all."""
        going = Going(kind(values), seconds, done)
        left = self._time_left.now([going]) if self._total else None
        where = f"{self.count(self._ended + 1)}  {short_name(values)}"
        return where, "" if left is None else f"{clock_time(left)} left"


class JobDisplay(SilentDisplay):
    """A bar for one job of a sweep; nothing when piped."""

    def __init__(self, sweep: SweepDisplay, values: Mapping[str, str]) -> None:
        self._sweep, self._values, self._start = sweep, values, time.monotonic()
        self._progress: Progress | None = None
        self._task = TaskID(0)

    def title(self, text: str) -> None:
        if self._sweep.console.is_terminal:
            room = max(self._sweep.console.width - BESIDE_NAME, LEAST_NAME)
            name = Column(no_wrap=True, overflow="ellipsis", width=room)
            self._progress = Progress(
                TextColumn("[bold]{task.description}", table_column=name),
                BarColumn(bar_width=BAR_WIDTH),
                TextColumn("{task.percentage:>3.0f}%", table_column=Column(min_width=4)),
                TextColumn("{task.fields[left]}", table_column=Column(min_width=LEFT_WIDTH)),
                console=self._sweep.console,
                transient=True,
            )
            where, left = self._sweep.described(self._values, 0.0, 0.0)
            self._task = self._progress.add_task(escape(where), total=1.0, left=left)
            self._progress.start()

    def step(self, pace: Pace) -> None:
        if self._progress is not None:
            seconds = time.monotonic() - self._start
            where, left = self._sweep.described(self._values, seconds, pace.done)
            self._progress.update(
                self._task, description=escape(where), completed=pace.done, left=left
            )

    def close(self) -> None:
        if self._progress is not None:
            self._progress.stop()


def print_ended(console: Console, start: str, outcome: Outcome, seconds: float) -> None:
    """A line about a job that ended: on a terminal one of it, elsewhere with the whole name."""
    if console.is_terminal:
        line = f"{start}  {outcome_line(outcome, seconds, short_name(outcome.values))}"
        style = "" if outcome.status == COMPLETED else "bold red"
        console.print(Text(line, style=style), no_wrap=True, overflow="ellipsis")
    else:
        line = f"{start}  {outcome_line(outcome, seconds, outcome.name)}"
        console.print(Text(line), soft_wrap=True)


def with_time(count: str, left: float | None) -> str:
    """A count with the time that is left, where that is known."""
    return count if left is None else f"{count}, {clock_time(left)} left"


def kind(values: Mapping[str, str]) -> str:
    """What jobs have in common that differ in their seeds alone."""
    return job_name(unseeded(values))


def short_keys(keys: Sequence[str]) -> list[str]:
    """The last part of each key, or the whole where that would be two keys' name."""
    last = [key.rpartition(".")[2] for key in keys]
    return [name if last.count(name) == 1 else key for key, name in zip(keys, last, strict=True)]


def short_name(values: Mapping[str, str]) -> str:
    """What a job is called where a line of a terminal must hold more than its name."""
    return job_name(dict(zip(short_keys(list(values)), values.values(), strict=True)))


def outcome_line(outcome: Outcome, seconds: float, name: str) -> str:
    """How the job of this name ended, in one line whose end may be cut."""
    if outcome.status != COMPLETED:
        reason = f": {outcome.reason}" if outcome.reason else ""
        return f"{outcome.status}  {name}{reason}"
    accuracy = "-" if outcome.value is None else f"{outcome.value:.4f}"
    how_long = "was there already" if outcome.is_kept else f"{seconds:.1f} s"
    return f"accuracy {accuracy}, {how_long}  {name}"
