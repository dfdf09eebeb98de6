"""The accuracies of a trained model on some data, for people."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from clrun.console.tables import cell


def print_evaluated(
    console: Console,
    class_names: Sequence[str],
    class_rows: Sequence[int],
    class_accuracy: Sequence[float | None],
    pooled: float | None,
) -> None:
    """One row for each class that the data have, and one for all images together."""
    table = Table(title="Accuracy by class", show_footer=True)
    table.add_column("class", "all images", overflow="fold")
    table.add_column("images", f"{sum(class_rows):,}", justify="right")
    table.add_column("accuracy", cell(pooled), justify="right")
    for name, rows, accuracy in zip(class_names, class_rows, class_accuracy, strict=True):
        if rows:
            table.add_row(Text(name), f"{rows:,}", cell(accuracy))
    console.print(table)
    unseen = sum(not rows for rows in class_rows)
    if unseen:
        console.print(f"{unseen} of the model's {len(class_rows)} classes have no images here.")
