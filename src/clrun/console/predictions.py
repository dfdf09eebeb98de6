"""What a model says of images: a table for people, CSV and JSON for programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text


class Named(NamedTuple):
    """An image, and its classes with their probabilities, the most probable first."""

    image: str
    classes: Sequence[tuple[str, float]]


def print_predictions(console: Console, found: Sequence[Named]) -> None:
    """One row for each image: its class, how probable it is, and what else it may be."""
    table = Table(box=None, pad_edge=False)
    table.add_column("image", overflow="fold")
    table.add_column("class", style="bold", overflow="fold")
    table.add_column("probability", justify="right")
    has_more = any(len(named.classes) > 1 for named in found)
    if has_more:
        table.add_column("then", style="dim", overflow="fold")
    for image, classes in found:
        (name, probability), *others = classes
        more = "  ".join(f"{other} {share:.4f}" for other, share in others)
        row = [Text(image), Text(name), Text(f"{probability:.4f}")]
        table.add_row(*row, *([Text(more)] if has_more else []))
    console.print(table)


def predictions_csv(found: Sequence[Named]) -> str:
    """A line for each image: its classes in falling order, each with its probability after it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = len(found[0].classes) if found else 0
    writer.writerow(["image", *_column_names(columns)])
    for image, classes in found:
        writer.writerow([image, *(cell for pair in classes for cell in pair)])
    return text.getvalue()


def _column_names(count: int) -> Iterator[str]:
    yield from ("class", "probability") if count else ()
    for place in range(2, count + 1):
        yield from (f"class_{place}", f"probability_{place}")


def predictions_json(found: Sequence[Named]) -> list[dict[str, Any]]:
    """An object for each image."""
    return [
        {"image": image, "class": classes[0][0], "probabilities": dict(classes)}
        for image, classes in found
    ]
