"""What moves on a terminal while jobs of a sweep run side by side: a line for each, and a total."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Column, Table
from rich.text import Text

from clrun.console.display import clock_time

WIDE = 72
"""Columns of a terminal that has room for how a job stands beside where it is"""
CTRL_C = "^C"
"""What a terminal writes after the line that moves, and must not break it"""
LEAST_ROWS = 2
"""Rows of running jobs that are shown, however low the terminal is"""
OTHER_ROWS = 4
"""Rows of the header, the total, what is not shown, and the cursor"""


class Running(NamedTuple):
    """A job, or a part that several share, that runs now."""

    name: str
    state: str
    """e.g. running, starting, shared, attempt 2"""
    experience: str
    """e.g. 2/5; empty before training"""
    accuracy: float | None
    seconds_left: float | None


class RunningTable:
    """The jobs that run, the total below, in any terminal from 40 columns on."""

    def __init__(self, running: Sequence[Running], *totals: str) -> None:
        """`totals`: the same in fewer and fewer words, for terminals that are more narrow."""
        self._running, self._totals = running, totals

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        most = max(console.height - OTHER_ROWS, LEAST_ROWS)
        if self._running:
            yield _table(self._running[:most], options.max_width)
        if len(self._running) > most:
            yield Text(f"and {len(self._running) - most} more", style="dim")
        room = options.max_width - len(CTRL_C)
        total = next((text for text in self._totals if len(text) <= room), self._totals[-1])
        yield Text(total, no_wrap=True, overflow="ellipsis", style="bold")


def _table(running: Sequence[Running], width: int) -> Table:
    is_wide = width >= WIDE
    table = Table(
        Column("job", ratio=1, no_wrap=True, overflow="ellipsis"),
        *([Column("state", no_wrap=True, min_width=9)] if is_wide else []),
        Column("experience" if is_wide else "exp.", justify="right", no_wrap=True),
        Column("accuracy" if is_wide else "acc.", justify="right", no_wrap=True, min_width=5),
        Column("left", justify="right", no_wrap=True, min_width=7 if is_wide else 5),
        box=None,
        padding=(0, 2 if is_wide else 1, 0, 0),
        pad_edge=False,
        width=width - len(CTRL_C),
        header_style="dim",
    )
    for job in running:
        accuracy = "-" if job.accuracy is None else f"{job.accuracy:.3f}"
        left = "-" if job.seconds_left is None else clock_time(job.seconds_left)
        states = [Text(job.state)] if is_wide else []
        where = job.experience or ("-" if is_wide else job.state)
        table.add_row(Text(job.name, style="bold"), *states, where, accuracy, left)
    return table
