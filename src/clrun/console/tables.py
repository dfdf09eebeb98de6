"""The end of a run: the accuracy matrix in colour and the headline metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from clrun.records.results import Results, Row

WIDEST = 20
"""More columns than this and the matrix is shown at evenly spaced experiences only."""

HEADLINE = (
    ("acc_final", "final accuracy", "mean over experiences after the last one"),
    ("forgetting_max", "forgetting", "mean drop from each experience's best"),
    ("bwt", "backward transfer", "mean change since each was learnt"),
    ("fwt", "forward transfer", "mean gain before each is learnt, over the untrained model"),
    ("learning_accuracy", "learning accuracy", "mean right after each was learnt"),
    ("aia", "average incremental accuracy", "mean over the stream of the mean so far"),
)
POOLED = ("acc_pooled", "pooled accuracy", "share of all test images, after the last experience")


def print_results(console: Console, results: Results, folder: Path, seconds: float) -> None:
    """The matrix, the metrics and where everything is written."""
    console.print(matrix_table(results.accuracy_matrix))
    console.print(metrics_table(results.metrics, results.notes))
    memory = results.memory
    if memory["rows"]:
        console.print(
            f"memory: {memory['rows']:,} rows, {memory['bytes']:,} bytes", highlight=False
        )
    console.print(Text(f"{seconds:.1f} s. Results: {folder}"), soft_wrap=True)  # [x] is no markup


def matrix_table(matrix: Sequence[Row]) -> Table:
    """Row i: after training on experience i; column j: accuracy on experience j."""
    columns = spaced(len(matrix[0]) if matrix else 0)
    table = Table(
        title="Test accuracy by experience", caption="row: after training on, column: tested on"
    )
    table.add_column("after", justify="right", style="bold")
    for column in columns:
        table.add_column(str(column + 1), justify="right")
    for index in spaced(len(matrix)):
        row = matrix[index]
        table.add_row(str(index + 1), *(cell(row[column]) for column in columns))
    return table


def metrics_table(metrics: Mapping[str, float | None], notes: Mapping[str, str]) -> Table:
    """The headline metrics with what each means, or why it has no value."""
    table = Table(show_header=False, box=None, pad_edge=False)
    headline = list(HEADLINE)
    if metrics.get("acc_final") is None and metrics.get("acc_pooled") is not None:
        headline.insert(0, POOLED)  # experiences without test images, as in CORe50's NICv2
    for key, name, meaning in headline:
        value = metrics.get(key)
        shown = "-" if value is None else f"{value:+.4f}" if "transfer" in name else f"{value:.4f}"
        table.add_row(Text(name, style="bold"), shown, Text(notes.get(key, meaning), style="dim"))
    return table


def cell(value: float | None) -> Text:
    """An accuracy on red (0) to green (1)."""
    if value is None:
        return Text("-", style="dim")
    red, green = round(150 * (1 - value)) + 40, round(120 * value) + 40
    return Text(f"{value:.3f}", style=f"white on rgb({red},{green},50)")


def spaced(count: int) -> list[int]:
    """All of `count` indices, or WIDEST evenly spaced ones with the first and the last."""
    if count <= WIDEST:
        return list(range(count))
    return sorted({round(k * (count - 1) / (WIDEST - 1)) for k in range(WIDEST)})
