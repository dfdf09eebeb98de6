"""The accuracy matrix R, and reading the entries that a definition needs.

R[i, j] is the test accuracy on experience j after training on experience i, both counted from 0.
NaN (or None) means that it was not measured. Joint training has one row.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clrun.metrics.undefined import Undefined

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


def matrix_of_rows(rows: Sequence[ArrayLike], columns: int) -> Floats:
    """The matrix of rows as results.json and metrics.jsonl have them: NaN for what one leaves off.

    `columns` is the number of experiences, or of classes.
    """
    matrix = np.full((len(rows), columns), np.nan)
    for place, row in enumerate(rows):
        values = np.asarray(row, dtype=np.float64)
        matrix[place, : len(values)] = values
    return matrix


def accuracy_matrix(R: ArrayLike) -> Floats:
    """R as a float64 array [experiences trained on, experiences].

    Raises:
        Undefined: it is empty.
    """
    matrix = np.asarray(R, dtype=np.float64)
    if matrix.size == 0:
        raise Undefined("nothing was evaluated")
    assert matrix.ndim == 2, f"R has shape {matrix.shape}"
    return matrix


def square_matrix(R: ArrayLike, *, least: int = 1) -> Floats:
    """R with a row for every experience, and at least `least` experiences.

    Raises:
        Undefined: it is not so.
    """
    matrix = accuracy_matrix(R)
    rows, columns = matrix.shape
    if rows != columns:
        raise Undefined(
            f"needs the accuracies after each experience: {_counted(rows, 'evaluation')} "
            f"of {_counted(columns, 'experience')}"
        )
    if rows < least:
        raise Undefined(f"needs at least {least} experiences: there is {rows}")
    return matrix


def measured(matrix: Floats, rows: Indices, columns: Indices) -> Floats:
    """matrix[rows[k], columns[k]] for each k.

    Raises:
        Undefined: one of them was not measured.
    """
    values = matrix[rows, columns]
    for k in np.flatnonzero(np.isnan(values))[:1]:
        raise Undefined(
            f"accuracy on experience {columns[k]} after experience {rows[k]} was not measured"
        )
    return values


def last_row(matrix: Floats, *, columns: int) -> Floats:
    """The accuracies on the first `columns` experiences after the whole stream."""
    return measured(matrix, np.full(columns, len(matrix) - 1), np.arange(columns))


def diagonal(matrix: Floats, *, columns: int) -> Floats:
    """The accuracy on each of the first `columns` experiences just after learning it."""
    return measured(matrix, np.arange(columns), np.arange(columns))


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
