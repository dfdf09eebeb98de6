"""The end of a sweep: a row for each combination of swept keys, and what failed and why."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from rich.console import Console
from rich.table import Table
from rich.text import Text

from clrun.console.display import clock_time
from clrun.console.sweep_display import SEED, kind, short_keys
from clrun.metrics.spread import spread
from clrun.records.outcome import COMPLETED, FAILED, UNFINISHED, Outcome

MOST_NAMED = 12
"""More jobs than this that are not started are counted, not named."""


def print_sweep(
    console: Console, outcomes: Sequence[Outcome], folder: Path, seconds: float
) -> None:
    """The table, every failure with its reason, what is not done, and where everything is."""
    done = _with_status(outcomes, COMPLETED)
    if done:
        console.print(sweep_table(outcomes, ascii_only=console.options.ascii_only))
    for outcome in _with_status(outcomes, FAILED):
        _line(console, f"failed: {outcome.name or 'the job'}: {outcome.reason}", "bold red")
    for status in UNFINISHED:
        _name(console, status, _with_status(outcomes, status))
    _line(console, f"{counted(outcomes)} {clock_time(seconds)}. Results: {folder}")


def counted(outcomes: Sequence[Outcome]) -> str:
    """How many jobs ended in which way, as a sentence."""
    counts = [
        f"{len(found)} {status}"
        for status in (COMPLETED, FAILED, *UNFINISHED)
        if (found := _with_status(outcomes, status))
    ]
    return f"{len(outcomes)} job{'' if len(outcomes) == 1 else 's'}: {', '.join(counts)}."


def sweep_table(outcomes: Sequence[Outcome], *, ascii_only: bool = False) -> Table:
    """A row for each combination of swept keys, seeds folded."""
    table = Table(caption="mean over seeds and its 95 % interval")
    keys = list(dict.fromkeys(key for outcome in outcomes for key in outcome.values if key != SEED))
    for name in short_keys(keys):
        table.add_column(name, overflow="fold", style="bold")
    for name in ("runs", "accuracy", "forgetting", "seconds"):
        table.add_column(name, justify="right", no_wrap=True)
    sign = "+-" if ascii_only else "±"
    groups: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        groups[kind(outcome.values)].append(outcome)
    for group in groups.values():
        done = _with_status(group, COMPLETED)
        runs = str(len(group)) if len(done) == len(group) else f"{len(done)} of {len(group)}"
        forgetting = [outcome.metrics.get("forgetting_max") for outcome in done]
        table.add_row(
            *(Text(group[0].values.get(key, "-")) for key in keys),
            runs,
            _spread([outcome.value for outcome in done], sign),
            _spread(forgetting, sign),
            f"{fmean(outcome.seconds for outcome in done):.1f}" if done else "-",
        )
    return table


def _spread(values: Sequence[float | None], sign: str) -> str:
    """A mean and half its interval; "-" where a value is missing or there is none."""
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        return "-"
    mean, half_width = spread(known)
    return f"{mean:.4f}" if half_width is None else f"{mean:.4f} {sign}{half_width:.4f}"


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
