"""What a run found: the accuracy matrix, the metrics of it, its cost and its memory."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from clrun.disk.files import write_json, write_text
from clrun.profiling.spans import phase
from clrun.records.task_ids import WITHOUT

Row = Sequence[float | None]
"""Accuracies in [0, 1]; None where nothing was evaluated."""


@dataclass(frozen=True, kw_only=True)
class Results:
    """The content of results.json. The same command gives the same, apart from times."""

    schema: int = 1
    partial: bool = False
    """The run was interrupted: no metric has a value, and the matrix has the experiences that were
    finished."""
    config_hash: str
    class_names: list[str]
    """The names of classes 0, 1, 2, ...: what a class's number means here and in metrics.jsonl."""
    experiences: list[dict[str, Any]]
    """For each: its classes, training rows and test rows."""
    accuracy_matrix: list[list[float | None]]
    """Row i: after training on experience i; column j: test accuracy on experience j. A row is
    empty if not evaluated, and the last column is the last experience that ever was."""
    class_accuracy: list[list[float | None]]
    """Row i: after training on experience i, empty if not evaluated; column c: on class c."""
    initial_accuracy: list[float | None] | None
    """Accuracies of the untrained model, up to the last experience that has one; None where
    eval.initial is off."""
    task_aware: dict[str, Any] | None = None
    """`accuracy_matrix`, `class_accuracy` and `initial_accuracy` of the same predictions, each row
    held against the outputs of its experience alone; None without eval.task_ids."""
    task_ids: str = WITHOUT
    """Whether the ids of experiences were used, in training and in testing (`records.task_ids`)."""
    metrics: dict[str, float | None]
    notes: dict[str, str] = field(default_factory=dict)
    """Why a metric or a cost is None; under `data`, what a user should know of the data."""
    damaged_files: int = 0
    """Files that were left out (`benchmark.damaged=skip`)."""
    cost: dict[str, Any]
    memory: dict[str, Any]
    folder: Path | None = field(default=None, compare=False)
    """The run's folder, absolute. It is not written: a folder may be moved."""

    def save(self, folder: Path) -> None:
        """Write results.json and accuracy_matrix.csv."""
        with phase("write"):
            content = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "folder"}
            write_json(folder / "results.json", content)
            write_text(folder / "accuracy_matrix.csv", matrix_csv(self.accuracy_matrix))


def matrix_csv(matrix: Sequence[Row]) -> str:
    """The accuracy matrix for a spreadsheet; an empty cell was not evaluated, nor one left out."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = max(map(len, matrix), default=0)
    writer.writerow(["after_experience", *(f"experience_{j}" for j in range(columns))])
    for index, row in enumerate(matrix):
        writer.writerow([index, *("" if value is None else f"{value:.6f}" for value in row)])
    return text.getvalue()
