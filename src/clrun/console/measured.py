"""The metrics of runs that were computed again, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from rich.console import Console
from rich.table import Table
from rich.text import Text

from clrun.console.tables import cell
from clrun.metrics import all_metrics

MOST_CLASSES = 30
"""More than this are not listed."""


class Row(NamedTuple):
    """A run of several."""

    name: str
    state: str
    metrics: Mapping[str, float | None]
    notes: Mapping[str, str]


def print_metrics(
    console: Console, metrics: Mapping[str, float | None], notes: Mapping[str, str]
) -> None:
    """All metrics: the value with what it means, or why there is none."""
    table = Table(show_header=False, box=None, pad_edge=False)
    for key, metric in all_metrics().items():
        if key not in metrics:  # one with task ids, of a run without
            continue
        known = metrics[key] is not None
        said = f"{metric.label}: {metric.meaning}" if known else f"undefined: {notes[key]}"
        table.add_row(Text(key, style="bold"), number(key, metrics[key]), Text(said, style="dim"))
    console.print(table)


def print_classes(
    console: Console,
    class_names: Sequence[str],
    class_accuracy: ArrayLike,
    entries: ArrayLike | None,
) -> None:
    """The final accuracy on each class, and what it is mistaken for most, if that is known."""
    accuracies = np.asarray(class_accuracy, dtype=np.float64)
    tested = np.flatnonzero(~np.isnan(accuracies))
    if not len(tested) or len(tested) > MOST_CLASSES:
        return
    mistaken = {} if entries is None else _mistaken(entries)
    table = Table(title="In the end, by class")
    table.add_column("class", overflow="fold")
    table.add_column("accuracy", justify="right")
    table.add_column("taken most for", overflow="fold")
    for label in tested.tolist():
        other, rows = mistaken.get(label, (None, 0))
        said = "" if other is None else f"{_name(class_names, other)} ({rows:,})"
        name = Text(_name(class_names, label))
        table.add_row(name, cell(float(accuracies[label])), Text(said))
    console.print(table)


def print_rows(console: Console, rows: Sequence[Row]) -> None:
    """One row for each run: the metrics of the end of a run that at least one of them has.

    On a terminal those that there is room for beside the runs' names, and the names of the others.
    """
    found = [
        metric
        for metric in all_metrics().values()
        if metric.in_end_table and any(row.metrics.get(metric.key) is not None for row in rows)
    ]
    shown = [metric.key for metric in found]
    table, left_out = _rows(rows, shown), list[str]()
    while console.is_terminal and len(shown) > 1 and _width(console, table) > console.width:
        left_out.insert(0, shown.pop())
        table = _rows(rows, shown)
    console.print(table)
    if left_out:
        text = f"no room here for {', '.join(left_out)}: a wider terminal or --json shows them"
        console.print(Text(text, style="dim"))


def _rows(rows: Sequence[Row], keys: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("run", overflow="fold")
    table.add_column("experiences")
    for key in keys:
        table.add_column(key, justify="right")
    for row in rows:
        values = (number(key, row.metrics.get(key)) for key in keys)
        table.add_row(Text(row.name), Text(row.state), *values)
    return table


def _width(console: Console, table: Table) -> int:
    """Columns that a table takes where there is room."""
    return console.measure(table, options=console.options.update(max_width=10_000)).maximum


def number(key: str, value: float | None) -> str:
    """A metric's value as the end of a run shows it."""
    if value is None:
        return "-"
    return f"{value:+.4f}" if all_metrics()[key].is_signed else f"{value:.4f}"


def _mistaken(entries: ArrayLike) -> dict[int, tuple[int, int]]:
    """True class -> (the wrong class it is taken for most often, rows)."""
    found: dict[int, tuple[int, int]] = {}
    for true, predicted, rows in np.asarray(entries, dtype=np.int64).reshape(-1, 3).tolist():
        if true != predicted and rows > found.get(true, (0, 0))[1]:
            found[true] = predicted, rows
    return found


def _name(names: Sequence[str], label: int) -> str:
    return names[label] if label < len(names) else str(label)
