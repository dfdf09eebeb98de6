"""What a person sees while a run goes on: a live line on a terminal, plain lines when piped."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from clrun.console.encoding import print_nearest
from clrun.console.screen import Screen

PLAIN_SECONDS = 5.0
"""Seconds between two lines about epochs of a piped run, at least."""


class Pace(NamedTuple):
    """Where a run is, in numbers that are on the host already."""

    experience: int
    experiences: int
    epoch: int
    epochs: int
    done: float
    """share of all training done, in [0, 1]"""
    loss: float
    accuracy: float
    images: int
    """rows trained on since the run began"""


class Display(Protocol):
    """What the runner calls as a run goes on; decides alone how to show it."""

    def title(self, text: str) -> None: ...
    def step(self, pace: Pace) -> None: ...
    def evaluated(self, experience: int, experiences: int, row: Sequence[float | None]) -> None: ...
    def close(self) -> None: ...


class Clock:
    """Speed and time left, from when training began and how much of it is done."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def speed(self, pace: Pace) -> str:
        """The images of a second and the time left, e.g. "1,234 img/s, 0:12 left"."""
        seconds = max(time.monotonic() - self._start, 1e-9)
        left = seconds * (1 - pace.done) / pace.done if pace.done > 0 else 0.0
        return f"{pace.images / seconds:,.0f} img/s, {clock_time(left)} left"


class PlainDisplay:
    """Lines for a file or a pipe: one an experience, and now and then one for an epoch."""

    def __init__(self, console: Console) -> None:
        self._console, self._clock = console, Clock()
        self._last_line = (time.monotonic(), (0, 0))
        """when an epoch was last shown, and which (experience, epoch)"""

    def title(self, text: str) -> None:
        self._line(text)

    def step(self, pace: Pace) -> None:
        last, place = self._last_line
        here = (pace.experience, pace.epoch)
        if here != place and time.monotonic() - last > PLAIN_SECONDS:
            self._last_line = (time.monotonic(), here)
            self._line(f"{described(pace)}, {self._clock.speed(pace)}")

    def evaluated(self, experience: int, experiences: int, row: Sequence[float | None]) -> None:
        self._line(f"after experience {experience + 1}/{experiences}: {accuracies(row)}")

    def close(self) -> None:
        pass

    def _line(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


class LiveDisplay:
    """A bar that moves, with a line left behind for each evaluated experience."""

    def __init__(self, console: Console) -> None:
        self._console, self._clock = console, Clock()
        self._progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f}%"),
            _NumbersColumn(),
            console=console,
            transient=True,
        )
        self._task = self._progress.add_task("starting", total=1.0, numbers="")
        self._progress.start()

    def title(self, text: str) -> None:
        self._progress.console.print(text, style="bold", markup=False, highlight=False)

    def step(self, pace: Pace) -> None:
        where = f"experience {pace.experience + 1}/{pace.experiences}"
        numbers = (
            f"epoch {pace.epoch + 1}/{pace.epochs}  loss {pace.loss:.3f}  acc {pace.accuracy:.3f}"
        )
        numbers = f"{numbers}  {self._clock.speed(pace)}"
        self._progress.update(self._task, description=where, completed=pace.done, numbers=numbers)

    def evaluated(self, experience: int, experiences: int, row: Sequence[float | None]) -> None:
        text = f"after experience {experience + 1}/{experiences}: {accuracies(row)}"
        self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        self._progress.stop()


class _NumbersColumn(ProgressColumn):
    """The numbers of the task, cut where the terminal ends."""

    def render(self, task: Task) -> Text:
        return Text(str(task.fields["numbers"]), no_wrap=True, overflow="ellipsis")


class SilentDisplay:
    """Shows nothing: for runs from Python."""

    def title(self, text: str) -> None:
        pass

    def step(self, pace: Pace) -> None:
        pass

    def evaluated(self, experience: int, experiences: int, row: Sequence[float | None]) -> None:
        pass

    def close(self) -> None:
        pass


def make_console() -> Console:
    """Standard output; as wide as its lines when it is not a terminal."""
    print_nearest()  # in a job of a sweep, which is a process of its own, too
    console = Screen()
    return console if console.is_terminal else Screen(width=1000)


def make_display(console: Console) -> Display:
    """A live display on a terminal, plain lines elsewhere."""
    return LiveDisplay(console) if console.is_terminal else PlainDisplay(console)


def described(pace: Pace) -> str:
    """Where the run is and how it is doing, as one phrase."""
    return (
        f"experience {pace.experience + 1}/{pace.experiences}, epoch {pace.epoch + 1}/{pace.epochs}"
        f": loss {pace.loss:.3f}, acc {pace.accuracy:.3f}"
    )


def accuracies(row: Sequence[float | None]) -> str:
    """A row of the accuracy matrix as text: its mean first, and not more than twelve columns."""
    return f"{_mean(row)}  [{_values(row[:12])}{' ...' if len(row) > 12 else ''}]"


def every_accuracy(row: Sequence[float | None]) -> str:
    """As `accuracies`, with all columns."""
    return f"{_mean(row)}  [{_values(row)}]"


def _mean(row: Sequence[float | None]) -> str:
    known = [value for value in row if value is not None]
    return f"mean {sum(known) / len(known):.3f}" if known else "not evaluated"


def _values(row: Sequence[float | None]) -> str:
    return " ".join("  -  " if value is None else f"{value:.3f}" for value in row)


def clock_time(seconds: float) -> str:
    """A duration as 3:05 or 1:02:03."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
