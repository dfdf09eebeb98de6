"""How far a download is: a bar on a terminal, a line each tenth when piped."""

from __future__ import annotations

from types import TracebackType
from typing import Literal

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
)
from rich.text import Text

from clrun.console.display import clock_time
from clrun.console.waiting import ERASE_LINE

MEASURED_SECONDS = 3.0
"""What took less tells nothing of the time left."""


class Downloads:
    """Called with (file name, bytes so far, bytes in all), or with images; shows nothing until it
    is."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=16),
            TextColumn("{task.percentage:>3.0f}%"),
            _LeftColumn(),
            _AmountColumn(),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}
        self._tenths: dict[str, int] = {}

    def __enter__(self) -> Downloads:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._tasks:  # one that never started would leave an empty line
            self._progress.stop()

    def __call__(
        self,
        name: str,
        done: int,
        total: int | None,
        /,
        *,
        unit: Literal["bytes", "images"] = "bytes",
    ) -> None:
        if self._console.is_terminal:
            self._bar(name, done, total, unit)
        else:
            self._line(name, done, total, unit)

    def _bar(self, name: str, done: int, total: int | None, unit: str) -> None:
        if name not in self._tasks:
            if not self._tasks:
                self._console.file.write(ERASE_LINE)  # of what was waited for until now
            self._progress.start()
            self._tasks[name] = self._progress.add_task(name, total=total, unit=unit)
        self._progress.update(self._tasks[name], completed=done, total=total)

    def _line(self, name: str, done: int, total: int | None, unit: str) -> None:
        tenth = 10 * done // total if total else 0
        if self._tenths.get(name) != tenth:
            self._tenths[name] = tenth
            self._console.print(f"{name}: {amount(done, total, unit)}", highlight=False)


class _LeftColumn(ProgressColumn):
    """The time left, once there is a speed to tell it from: what comes first is often quick."""

    def render(self, task: Task) -> Text:
        seconds, passed = task.time_remaining, task.elapsed or 0.0
        if seconds is None or passed < MEASURED_SECONDS:
            return Text()
        return Text(f"{clock_time(seconds)} left", no_wrap=True)


class _AmountColumn(ProgressColumn):
    """How much of how much."""

    def render(self, task: Task) -> Text:
        total = None if task.total is None else int(task.total)
        return Text(amount(int(task.completed), total, task.fields["unit"]), no_wrap=True)


def amount(done: int, total: int | None, unit: str) -> str:
    """ "1.2 of 20.0 MB", or "1,200 of 5,000 images"."""
    if unit == "images":
        return f"{done:,} of {total:,} images" if total else f"{done:,} images"
    size = f" of {total / 1e6:,.1f}" if total else ""
    return f"{done / 1e6:,.1f}{size} MB"
