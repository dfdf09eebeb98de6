"""Watching a run from another process, by its folder alone, until it ends."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.text import Text

from clrun.console.display import PLAIN_SECONDS, accuracies
from clrun.watch.pause import Pause
from clrun.watch.run_log import RunLog
from clrun.watch.run_now import RunNow, run_now
from clrun.watch.run_picture import RunPicture, ending, where


def watch_run(folder: Path, console: Console, every: float, *, once: bool = False) -> None:
    """Show the run, on a terminal in one picture that moves and elsewhere by lines; `once` shows
    it as it is now."""
    log = RunLog(folder / "metrics.jsonl")
    if once:
        log.look()
        _print_picture(console, run_now(folder, log))
    elif console.is_terminal and not console.is_dumb_terminal:
        _live(folder, console, log, every)
    else:
        _lines(folder, console, log, every)


def _print_picture(console: Console, now: RunNow) -> None:
    picture = RunPicture()
    picture.show(now)
    console.print(picture)
    if now.is_over:
        _say_ending(console, now)


def _live(folder: Path, console: Console, log: RunLog, every: float) -> None:
    picture, pause = RunPicture(), Pause(every)
    with Live(picture, console=console, auto_refresh=False, transient=True) as live:
        while True:
            log.look()
            now = run_now(folder, log)
            picture.show(now)
            live.refresh()
            if now.is_over:
                break
            pause.wait()
    _print_picture(console, now)


def _lines(folder: Path, console: Console, log: RunLog, every: float) -> None:
    """A line for each evaluation after an experience, and now and then one in between."""
    said, shown, last, pause = -1, -PLAIN_SECONDS, None, Pause(every)
    console.print(Text(run_now(folder, log).label), soft_wrap=True)
    while True:
        is_over = run_now(folder, log).is_over  # before the log is read to its end
        log.look()
        now = run_now(folder, log)
        for index in sorted(index for index in log.seen.matrix if index > said):
            of = "" if now.experiences is None else f"/{now.experiences}"
            row: Sequence[float | None] = log.seen.matrix[index]
            line = f"after experience {index + 1}{of}: {accuracies(row)}"
            console.print(Text(line), soft_wrap=True)
            said = index
        if is_over:
            break
        if log.seen.step is not last and time.monotonic() - shown >= PLAIN_SECONDS:
            last, shown = log.seen.step, time.monotonic()
            console.print(Text(where(now)), soft_wrap=True)
        pause.wait()
    _say_ending(console, now)


def _say_ending(console: Console, now: RunNow) -> None:
    for text, style in ending(now):
        console.print(Text(text, style=style), soft_wrap=True)
