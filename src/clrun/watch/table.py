"""The list of runs and sweeps for people: what a terminal has no room for goes, the least needed
first."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from clrun.console.display import clock_time
from clrun.console.tables import cell
from clrun.console.visible import visible
from clrun.records.run_folder import DIED, RUNNING
from clrun.sweep.outcomes import COMPLETED, FAILED, INTERRUPTED
from clrun.watch.lines import Line

STYLES = {COMPLETED: "green", RUNNING: "bold", FAILED: "bold red", DIED: "red"}
STYLES[INTERRUPTED] = "yellow"

UNITS = ("B", "kB", "MB", "GB", "TB")

RIGHT = ("seed", "accuracy", "time", "disk")
LEFT_OUT = ("benchmark", "disk", "seed", "time", "started")
"""What a narrow terminal has no room for, in the order in which it goes."""


def print_lines(console: Console, lines: Sequence[Line], top: Path) -> None:
    """A row for each run and sweep; folders are named as seen from `top`."""
    names = ["started", "status", "strategy", "benchmark", "seed", "accuracy", "time", "disk"]
    if any(line.entry.name for line in lines):
        names.append("name")
    rows = [_cells(line, top) for line in lines]
    out_of = [name for name in LEFT_OUT if console.is_terminal]
    table = _table(rows, [*names, "folder"])
    while out_of and _width(console, table) > console.width:
        names.remove(out_of.pop(0))
        table = _table(rows, [*names, "folder"])
    console.print(table)


def size(count: int) -> str:
    """Bytes as e.g. 3.2 MB."""
    value, unit = float(count), 0
    while value >= 999.5 and unit < len(UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{count} B" if unit == 0 else f"{value:.3g} {UNITS[unit]}"


def _table(rows: Sequence[dict[str, Text]], names: Sequence[str]) -> Table:
    columns = [
        Column(
            name,
            justify="right" if name in RIGHT else "left",
            overflow="fold",
            no_wrap=name in (*RIGHT, "started"),
        )
        for name in names
    ]
    table = Table(*columns, box=None, pad_edge=False, header_style="dim")
    for row in rows:
        table.add_row(*(row[name] for name in names))
    return table


def _width(console: Console, table: Table) -> int:
    """Columns that a table takes where there is room."""
    return console.measure(table, options=console.options.update(max_width=10_000)).maximum


def _cells(line: Line, top: Path) -> dict[str, Text]:
    entry = line.entry
    texts = {
        "started": _local(entry.started),
        "strategy": line.strategy,
        "benchmark": line.benchmark,
        "seed": line.seed,
        "time": "-" if line.seconds is None else clock_time(line.seconds),
        "disk": size(line.bytes),
        "name": entry.name,
        "folder": os.path.relpath(entry.folder, top),
    }
    return {
        **{name: Text(visible(text) or "-") for name, text in texts.items()},
        "status": _status(line),
        "accuracy": cell(line.accuracy) if not entry.is_sweep else Text("-", style="dim"),
    }


def _status(line: Line) -> Text:
    """How a run stands and how far it came, or how many jobs of a sweep are in which state."""
    entry = line.entry
    if entry.is_sweep:
        counted = (f"{count} {state}" for state, count in entry.counts.items())
        return Text("sweep: ") + Text(", ".join(counted), style=STYLES.get(entry.status, ""))
    place = f" {line.place}" if line.place else ""
    return Text(f"{entry.status}{place}", style=STYLES.get(entry.status, ""))


def _local(started: str) -> str:
    """A moment by the clock of this place, to the minute."""
    try:
        moment = datetime.fromisoformat(started)
    except ValueError:
        return ""
    known = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return known.astimezone().strftime("%Y-%m-%d %H:%M")
