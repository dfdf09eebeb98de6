"""The end of a sweep: a row for each point, the best of them, and what failed and why."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from rich.console import Console
from rich.table import Table
from rich.text import Text

from clrun.console.display import clock_time
from clrun.console.sweep_display import short_keys, short_name
from clrun.records.outcome import COMPLETED, FAILED, UNFINISHED, Outcome
from clrun.records.points import Best, Point, best, headline, points, ranked

MOST_NAMED = 12
"""More jobs than this that are not started are counted, not named."""

MOST_ROWS = 50
"""With more points than this the best are shown: nobody reads thousands, and they take seconds."""

MOST_FAILED = 20
"""More failed jobs than this are counted, not named; `clrun status SWEEP --failed` names all."""

MOST_RIVALS = 4
"""More points than this that may be the best are counted, not named."""

LEFT_OUT = ("seconds", "sd", "forgetting", "frame", "interval")
"""What a narrow terminal has no room for, in the order in which it goes."""


def print_sweep(
    console: Console,
    outcomes: Sequence[Outcome],
    folder: Path,
    seconds: float | None,
    *,
    way_on: str | None = None,
) -> None:
    """The table, the best point, every failure with its reason, what is not done, and where all is.

    `way_on` is how to go on with all jobs that are not done; without it each is named.
    """
    if _with_status(outcomes, COMPLETED):
        found = points(outcomes)
        shown = found if len(found) <= MOST_ROWS else ranked(found)[:MOST_ROWS]
        _print_table(console, fitting_table(console, shown))
        if shown is not found:
            _line(console, f"the best {MOST_ROWS} of {len(found):,} points; sweep.csv has all jobs")
        for line in best_lines(best(found)):
            _line(console, line)
    failed = _with_status(outcomes, FAILED)
    for outcome in failed[:MOST_FAILED]:
        _line(console, f"failed: {outcome.name or 'the job'}: {outcome.reason}", "bold red")
    if len(failed) > MOST_FAILED:
        way = f"clrun status {shlex.quote(str(folder))} --failed names all"
        _line(console, f"failed: {len(failed) - MOST_FAILED:,} more; {way}", "bold red")
    for status in UNFINISHED if way_on is None else ():
        _name(console, status, _with_status(outcomes, status))
    took = "" if seconds is None else f" {clock_time(seconds)}."
    _line(console, f"{counted(outcomes)}{took} Results: {folder}")
    if way_on:
        _line(console, way_on)


def counted(outcomes: Sequence[Outcome]) -> str:
    """How many jobs ended in which way, as a sentence."""
    counts = [
        f"{len(found)} {status}"
        for status in (COMPLETED, FAILED, *UNFINISHED)
        if (found := _with_status(outcomes, status))
    ]
    said = f"{len(outcomes)} job{'' if len(outcomes) == 1 else 's'}"
    return f"{said}: {', '.join(counts)}." if counts else f"{said}."


def _print_table(console: Console, table: Table) -> None:
    """A table with its caption below in one line, however narrow the table is."""
    caption, table.caption = table.caption, None
    console.print(table)
    if caption is not None:
        console.print(Text(str(caption), style="table.caption"))


def fitting_table(console: Console, found: Sequence[Point]) -> Table:
    """The table with as many of its columns as the terminal has room for."""
    ascii_only = console.options.ascii_only
    unbounded = console.options.update(max_width=10_000)
    for count in range(len(LEFT_OUT)):
        table = sweep_table(found, without=LEFT_OUT[:count], ascii_only=ascii_only)
        if console.measure(table, options=unbounded).maximum <= console.width:
            return table
    return sweep_table(found, without=LEFT_OUT, ascii_only=ascii_only)


def sweep_table(
    found: Sequence[Point], *, without: Sequence[str] = (), ascii_only: bool = False
) -> Table:
    """A row for each point: the mean over its seeds with the half of its 95 % interval."""
    sign = "+-" if ascii_only else "±"
    metric = headline(found)
    has_spread = metric is not None and any(len(point.by_seed(metric)) > 1 for point in found)
    table = Table(caption=_caption(sign, without) if has_spread else None)
    if "frame" in without:
        table.box, table.padding, table.pad_edge = None, (0, 1, 0, 0), False
    keys = list(dict.fromkeys(key for point in found for key in point.values))
    for name in short_keys(keys):
        table.add_column(name, overflow="fold", style="bold")
    names = ["runs", "accuracy", *(["sd"] if has_spread else []), "forgetting", "seconds"]
    shown = [name for name in names if name not in without]
    for name in shown:
        table.add_column(name, justify="right", no_wrap=True)
    for point in found:
        cells = _cells(point, metric, None if "interval" in without else sign)
        values = [Text(point.values.get(key, "-")) for key in keys]
        if point.is_reference and values:
            values[0].append(" (reference)", style="dim")
        table.add_row(*values, *(cells[name] for name in shown))
    return table


def best_lines(found: Best | None) -> list[str]:
    """The best point and how sure that is, a sentence each."""
    if found is None:
        return []
    runs = f"{found.spread.n} run{'' if found.spread.n == 1 else 's'}"
    left_out = len(found.point.outcomes) - len(found.point.done)
    missing = f", {left_out} more did not complete" if left_out else ""
    name = short_name(found.point.values)
    unranked = f" ({found.unranked} more have no accuracy)" if found.unranked else ""
    of = f"best of {found.among:,} points{unranked}"
    return [
        f"{of}: {name}, accuracy {found.spread.mean:.4f} ({runs}{missing})",
        f"how sure: {_how_sure(found)}",
    ]


def _how_sure(found: Best) -> str:
    if found.ahead is None and len(found.rivals) == found.among - 1:
        return "that cannot be told without two seeds of each point whose results differ"
    if not found.rivals:
        return f"at 95 %, {_ahead(found, short_name(found.nearest.values))}"
    names = [short_name(point.values) for point in found.rivals[:MOST_RIVALS]]
    more = len(found.rivals) - len(names)
    others = "; ".join([*names, *([f"{more:,} more"] if more else [])])
    one_of, that = ("", "that") if len(found.rivals) == 1 else ("one of ", "the first of them")
    return f"not at 95 %, for the best may be {one_of}{others}; {_ahead(found, that)}"


def _ahead(found: Best, nearest: str) -> str:
    """By how much the best is ahead of the nearest, which is called so."""
    ahead = found.ahead
    if ahead is None:
        return f"it cannot be compared with {nearest}"
    kind = f"over {ahead.n} shared seeds" if ahead.is_paired else "without shared seeds"
    at_once = f", for {found.among - 1:,} comparisons at once" if found.among > 2 else ""
    interval = f"{ahead.low:+.4f} to {ahead.high:+.4f} {kind}{at_once}"
    return f"it is ahead of {nearest} by {ahead.mean:.4f} ({interval})"


def _caption(sign: str, without: Sequence[str]) -> str:
    interval = "" if "interval" in without else f" {sign} half of its 95 % interval"
    sd = "" if "sd" in without else "; sd: of one run's accuracy"
    return f"mean over seeds{interval}{sd}"


def _cells(point: Point, metric: str | None, sign: str | None) -> dict[str, str]:
    done, total = len(point.done), len(point.outcomes)
    accuracy = None if metric is None else point.spread(metric)
    seconds = [outcome.seconds for outcome in point.done]
    return {
        "runs": str(total) if done == total else f"{done} of {total}",
        "accuracy": _mean(point, metric, sign),
        "sd": "-" if accuracy is None or accuracy.sd is None else f"{accuracy.sd:.4f}",
        "forgetting": _mean(point, "forgetting_max", sign),
        "seconds": f"{fmean(seconds):.1f}" if seconds else "-",
    }


def _mean(point: Point, metric: str | None, sign: str | None) -> str:
    """A mean and half its interval, if there is a sign for that; "-" where a value is missing."""
    found = None if metric is None else point.spread(metric)
    if found is None:
        return "-"
    if sign is None or found.half_width is None:
        return f"{found.mean:.4f}"
    return f"{found.mean:.4f} {sign}{found.half_width:.4f}"


def _with_status(outcomes: Sequence[Outcome], status: str) -> list[Outcome]:
    return [outcome for outcome in outcomes if outcome.status == status]


def _name(console: Console, status: str, outcomes: Sequence[Outcome]) -> None:
    for outcome in outcomes[:MOST_NAMED]:
        folder = outcome.unfinished
        way_on = "" if folder is None else f". To go on: clrun resume {shlex.quote(str(folder))}"
        _line(console, f"{status}: {outcome.name or 'the job'}{way_on}")
    if len(outcomes) > MOST_NAMED:
        _line(console, f"{status}: {len(outcomes) - MOST_NAMED} more")


def _line(console: Console, text: str, style: str = "") -> None:
    console.print(Text(text, style=style), soft_wrap=True)
