"""The section of the accuracy matrix: after which experience, how well on which."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clrun.records.past_run import PastRun
from clrun.report import numbers
from clrun.report.beside import Beside
from clrun.report.environment import fragment
from clrun.report.heat import Cell, HeatMap
from clrun.report.intervals import cell as interval_of
from clrun.report.intervals import test_rows
from clrun.report.page import Section

CAPTION = "Test accuracy after training on each experience (row), on each (column)"
MOST = 24
"""Rows and columns that are shown; of more, so many evenly apart with the first and the last."""

Floats = NDArray[np.float64]


def matrix_section(run: PastRun, others: Beside) -> Section:
    """The matrix, and what is different in another run's."""
    matrix, tested = _matrix(run), test_rows(run.measured.measurements)
    maps = [_heat_map(matrix, tested, "accuracy-matrix", CAPTION)] if matrix.size else []
    aware = run.measured.measurements.task_aware
    if aware is not None and matrix.size:
        own = _square(aware.accuracy)
        maps.append(_heat_map(own, tested, "task-aware-matrix", f"{CAPTION}, with task ids"))
    left_out = "" if max(matrix.shape, default=0) <= MOST else _left_out(matrix)
    problem = ""
    if others.against is not None and matrix.size:
        theirs = _matrix(others.against)
        if theirs.shape == matrix.shape:
            maps.append(_difference(matrix, theirs, others.against_name(run), run))
        else:
            problem = (
                f"{others.against_name(run)} has a matrix of {_shape(theirs)}, this one of "
                f"{_shape(matrix)}: there is no difference to show."
            )
    html = fragment(
        "run_matrix.html",
        maps=maps,
        left_out=left_out,
        problem=problem,
        has_csv=(run.folder / "accuracy_matrix.csv").is_file(),
    )
    return Section("matrix", "Accuracy matrix", html)


def _matrix(run: PastRun) -> Floats:
    return _square(run.measured.measurements.accuracy)


def _square(accuracy: ArrayLike) -> Floats:
    found = np.asarray(accuracy, dtype=np.float64)
    return found.reshape(len(found), -1) if found.size else np.zeros((0, 0))


def _heat_map(matrix: Floats, tested: Sequence[int] | None, place: str, caption: str) -> HeatMap:
    down, across = shown(len(matrix)), shown(matrix.shape[1])
    return HeatMap(
        id=place,
        caption=caption,
        row_label="after",
        column_label="tested on experience",
        row_names=_after(matrix, down),
        column_names=[str(j + 1) for j in across],
        cells=[
            [Cell(_known(matrix[i, j]), _title(matrix[i, j], i, j, matrix, tested)) for j in across]
            for i in down
        ],
        digits=3 if len(across) <= 6 else 2,
    )


def _difference(matrix: Floats, theirs: Floats, name: str, run: PastRun) -> HeatMap:
    down, across = shown(len(matrix)), shown(matrix.shape[1])
    return HeatMap(
        id="matrix-difference",
        caption=f"{run.name or run.label} minus {name}",
        row_label="after",
        column_label="tested on experience",
        row_names=_after(matrix, down),
        column_names=[str(j + 1) for j in across],
        cells=[
            [
                Cell(
                    _known(matrix[i, j] - theirs[i, j]),
                    f"{numbers.decimal(_known(matrix[i, j]))} here, "
                    f"{numbers.decimal(_known(theirs[i, j]))} there",
                )
                for j in across
            ]
            for i in down
        ],
        shade="change",
        digits=3 if len(across) <= 6 else 2,
    )


def shown(count: int, most: int = MOST) -> list[int]:
    """Which of so many are shown: all, or evenly apart with the first and the last."""
    if count <= most:
        return list(range(count))
    return sorted({round(place * (count - 1) / (most - 1)) for place in range(most)})


def _after(matrix: Floats, down: Sequence[int]) -> list[str]:
    is_at_once = len(matrix) == 1 and matrix.shape[1] > 1
    return ["all"] if is_at_once else [str(i + 1) for i in down]


def _title(
    accuracy: float, after: int, on: int, matrix: Floats, tested: Sequence[int] | None
) -> str:
    """What a field says where it is pointed at."""
    is_at_once = len(matrix) == 1 and matrix.shape[1] > 1
    place = f"after {'all' if is_at_once else after + 1}, on {on + 1}"
    if not math.isfinite(accuracy):
        return f"{place}: was not evaluated"
    rows = None if tested is None else tested[on]
    interval = interval_of(float(accuracy), rows)
    if rows is None or interval is None:
        return f"{place}: {accuracy:.4f}"
    low, high = interval
    return (
        f"{place}: {accuracy:.4f}, {round(accuracy * rows):,} of {rows:,} test rows, "
        f"95 % interval {low:.3f} to {high:.3f}"
    )


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _left_out(matrix: Floats) -> str:
    rows, columns = matrix.shape
    return (
        f"The matrix has {rows:,} rows and {columns:,} columns; at most {MOST} of each are shown, "
        "evenly apart."
    )


def _shape(matrix: Floats) -> str:
    return f"{matrix.shape[0]} by {matrix.shape[1]}"
