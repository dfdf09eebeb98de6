"""What a person sees while a run goes on: a live line on a terminal, plain lines when piped."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from clrun.console.encoding import print_nearest
from clrun.console.visible_console import VisibleConsole
from clrun.profiling.activity import watch

PLAIN_SECONDS = 5.0
"""Seconds between two lines about epochs of a piped run, at least."""

BARS = ((100, 24), (60, 8), (0, 4))
"""(columns of a terminal, of the bar in it or a wider one): numbers need the room."""

SHORT_SECONDS = 0.2
"""What takes no longer is not shown as what goes on: the line would flicker."""


class Pace(NamedTuple):
    """Where a run is, in numbers that are on the host already."""

    experience: int
    experiences: int
    epoch: int
    epochs: int | None
    """None where nobody knows how many there will be"""
    done: float
    """share of all training done, in [0, 1]"""
    loss: float
    accuracy: float
    images: int
    """rows trained on since the run began"""
    images_per_second: float | None = None
    """those of the last updates; None before there is anything to tell from"""
    seconds_left: float | None = None


class Display(Protocol):
    """What the runner calls as a run goes on; decides alone how to show it."""

    def title(self, text: str) -> None: ...
    def step(self, pace: Pace) -> None: ...
    def evaluated(self, experience: int, experiences: int, row: Sequence[float | None]) -> None: ...
    def close(self) -> None: ...


class PlainDisplay:
    """Lines for a file or a pipe: one an experience, and now and then one for an epoch."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last_line = (time.monotonic(), (0, 0))
        """when an epoch was last shown, and which (experience, epoch)"""

    def title(self, text: str) -> None:
        self._line(text)

    def step(self, pace: Pace) -> None:
        last, place = self._last_line
        here = (pace.experience, pace.epoch)
        if here != place and time.monotonic() - last > PLAIN_SECONDS:
            self._last_line = (time.monotonic(), here)
            self._line(", ".join([described(pace), *speed(pace)]))

    def evaluated(self, experience: int, experiences: int, row: Sequence[float | None]) -> None:
        self._line(f"after experience {experience + 1}/{experiences}: {accuracies(row)}")

    def close(self) -> None:
        pass

    def _line(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


class LiveDisplay:
    """A line that moves, with a line left behind for each evaluated experience."""

    def __init__(self, console: Console) -> None:
        self._line = _Line()
        self._live = Live(self._line, console=console, transient=True, refresh_per_second=10)
        self._live.start()
        watch(self._line.does)

    def title(self, text: str) -> None:
        self._live.console.print(text, style="bold", markup=False, highlight=False)

    def step(self, pace: Pace) -> None:
        self._line.step(pace)

    def evaluated(self, experience: int, experiences: int, row: Sequence[float | None]) -> None:
        text = f"after experience {experience + 1}/{experiences}: {accuracies(row)}"
        self._live.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        watch(None)
        self._live.stop()


class _Line:
    """Where a run is, in one line of any terminal: what matters least goes first."""

    def __init__(self) -> None:
        self._pace: Pace | None = None
        self._pace_at = 0.0
        self._activity: str | None = None
        self._activity_at = 0.0

    def step(self, pace: Pace) -> None:
        """Show this from now on."""
        self._pace, self._pace_at = pace, time.monotonic()

    def does(self, activity: str | None) -> None:
        """Show what goes on instead of updates."""
        self._activity, self._activity_at = activity, time.monotonic()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        pace, now = self._pace, time.monotonic()
        where = "starting" if pace is None else _where(pace)
        done = 0.0 if pace is None else pace.done
        width = next(bar for least, bar in BARS if options.max_width >= least)
        left = options.max_width - len(f"{where} {width * ' '} 100%^C ")  # which a terminal adds
        shown = ""
        for item in self._items(now):
            if len(f"{shown}  {item}") > left:
                break
            shown = f"{shown}  {item}"
        grid = Table.grid(padding=(0, 1, 0, 0))
        for _ in range(4):
            grid.add_column(no_wrap=True, overflow="ellipsis")
        bar = ProgressBar(total=1.0, completed=done, width=width)
        grid.add_row(Text(where, style="bold"), bar, f"{done:4.0%}", Text(shown[1:]))
        yield grid

    def _items(self, now: float) -> list[str]:
        """What is said besides, the most important first."""
        pace = self._pace
        left = None if pace is None else pace.seconds_left
        items = [] if left is None else [time_left(left - (now - self._pace_at))]
        activity = self._activity
        if activity is not None and now - self._activity_at >= SHORT_SECONDS:
            is_last = pace is not None and pace.done >= 1  # no update is left that could be timed
            return [activity] if is_last else [*items, activity]
        if pace is None:  # nothing was said of updates yet
            return [*items, "first updates"] if self._activity_at else items
        numbers = [f"loss {pace.loss:.3f}", f"acc {pace.accuracy:.3f}"]
        return [*items, _epoch(pace), *numbers, *speed(pace)[:1]]


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
    console = VisibleConsole()
    return console if console.is_terminal else VisibleConsole(width=1000)


def make_display(console: Console) -> Display:
    """A live display on a terminal, plain lines elsewhere."""
    return LiveDisplay(console) if console.is_terminal else PlainDisplay(console)


def speed(pace: Pace) -> list[str]:
    """The images of a second and the time left, once they are known."""
    if pace.images_per_second is None or pace.seconds_left is None:
        return []
    return [f"{pace.images_per_second:,.0f} img/s", time_left(pace.seconds_left)]


def time_left(seconds: float) -> str:
    """E.g. "0:12 left"."""
    return f"{clock_time(max(seconds, 0.0))} left"


def described(pace: Pace) -> str:
    """Where the run is and how it is doing, as one phrase."""
    return f"{_where(pace)}, {_epoch(pace)}: loss {pace.loss:.3f}, acc {pace.accuracy:.3f}"


def _epoch(pace: Pace) -> str:
    of = "" if pace.epochs is None else f"/{pace.epochs}"
    return f"epoch {pace.epoch + 1}{of}"


def _where(pace: Pace) -> str:
    return f"experience {pace.experience + 1}/{pace.experiences}"


def accuracies(row: Sequence[float | None]) -> str:
    """A row of the accuracy matrix as text: its mean first, and not more than twelve columns."""
    return _accuracies(row, 12)


def many_accuracies(row: Sequence[float | None]) -> str:
    """As `accuracies`, with up to a hundred columns: metrics.jsonl has them all."""
    return _accuracies(row, 100)


def _accuracies(row: Sequence[float | None], most: int) -> str:
    if not any(value is not None for value in row):
        return _mean(row)
    return f"{_mean(row)}  [{_values(row[:most])}{' ...' if len(row) > most else ''}]"


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
