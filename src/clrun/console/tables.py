"""The end of a run: the accuracy matrix in colour and the metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from clrun.console.spacing import evenly_spaced
from clrun.metrics.metric import Metric
from clrun.metrics.table import all_metrics
from clrun.records.results import Results, Row

WIDEST = 20
"""More columns than this and the matrix is shown at evenly spaced experiences only."""
FRAME = len("┃ after ┃")
"""What the matrix needs of a line besides its columns."""


def print_results(
    console: Console, results: Results, folder: Path, seconds: float, stream: str = "test"
) -> None:
    """The matrix, the metrics, of the rows of `stream`, and where everything is written."""
    console.print(matrix_table(results.accuracy_matrix, console.width, stream))
    console.print(metrics_table(results.metrics, results.notes))
    console.print(results.task_ids)
    memory = results.memory
    if memory["rows"]:
        console.print(
            f"memory: {memory['rows']:,} rows, {memory['bytes']:,} bytes", highlight=False
        )
    if skipped := results.cost.get("skipped_updates"):
        console.print(f"{skipped:,} updates were left out: {results.notes['skipped_updates']}")
    console.print(Text(f"{seconds:.1f} s. Results: {folder}"), soft_wrap=True)  # [x] is no markup


def matrix_table(matrix: Sequence[Row], width: int, stream: str = "test") -> Table:
    """Row i: after training on experience i; column j: accuracy on experience j.

    Where a line of `width` characters has no room for three digits, two are shown, of no more
    experiences than fit.
    """
    count = max(map(len, matrix), default=0)
    columns = evenly_spaced(count, WIDEST)
    digits = 3 if FRAME + len(columns) * len(" 0.123 ┃") <= width else 2
    if digits == 2:
        most = max((width - FRAME) // len(" 0.12 ┃"), 2)
        columns = evenly_spaced(count, min(most, WIDEST))
    verb = "tested" if stream == "test" else "scored"
    table = Table(
        title=f"{stream.capitalize()} accuracy by experience",
        caption=f"row: after training on, column: {verb} on",
    )
    table.add_column("after", justify="right", style="bold")
    for column in columns:
        table.add_column(str(column + 1), justify="right")
    for index in evenly_spaced(len(matrix), WIDEST):
        row = matrix[index]
        values = (row[c] if c < len(row) else None for c in columns)
        table.add_row(str(index + 1), *(cell(value, digits) for value in values))
    return table


def metrics_table(values: Mapping[str, float | None], notes: Mapping[str, str]) -> Table:
    """The metrics of the end table with what each means, or why it has no value."""
    table = Table(show_header=False, box=None, pad_edge=False)
    for metric in _shown_metrics(values):
        value = values.get(metric.key)
        shown = "-" if value is None else f"{value:+.4f}" if metric.is_signed else f"{value:.4f}"
        meaning = notes.get(metric.key, metric.meaning)
        table.add_row(Text(metric.label, style="bold"), shown, Text(meaning, style="dim"))
    return table


def _shown_metrics(values: Mapping[str, float | None]) -> Iterator[Metric]:
    """Those of the end table in order; where one is undefined, what stands in for it first."""
    metrics = all_metrics().values()
    stand_ins = {metric.stands_in_for: metric for metric in metrics if metric.stands_in_for}
    for metric in metrics:
        if not metric.in_end_table or metric.stands_in_for:
            continue
        if metric.twin_of is not None and metric.key not in values:  # a run without task ids
            continue
        stand_in = stand_ins.get(metric.key)
        if values.get(metric.key) is None and stand_in and values.get(stand_in.key) is not None:
            yield stand_in
        yield metric


def cell(value: float | None, digits: int = 3) -> Text:
    """An accuracy on red (0) to green (1)."""
    if value is None:
        return Text("-", style="dim")
    red, green = round(150 * (1 - value)) + 40, round(120 * value) + 40
    return Text(f"{value:.{digits}f}", style=f"white on rgb({red},{green},50)")
