"""The section of how the best points of a sweep went along the stream."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from clrun.records.alike import Method, mean_of
from clrun.report.environment import fragment
from clrun.report.lines import Axis, LineChart, Series
from clrun.report.numbers import decimal
from clrun.report.page import Section
from clrun.report.svg import hue

MOST_CURVES = 6


def so_far_section(methods: Sequence[Method], note: str = "") -> Section | None:
    """The mean over the experiences so far, of each method; None where none has two."""
    chart = so_far_chart(methods, note)
    if chart is None:
        return None
    return Section("time", "Along the stream", fragment("sweep_curves.html", chart=chart))


def so_far_chart(methods: Sequence[Method], note: str = "") -> LineChart | None:
    """Lines with their intervals over seeds."""
    lines = [(method, *_so_far(method)) for method in methods if _matrices(method)]
    count = max((len(mean) for _, mean, _ in lines), default=0)
    if count < 2:
        return None
    series = [
        Series(
            name=method.name,
            y=_padded(mean, count),
            low=[] if half is None else _padded(_less(mean, half, -1), count),
            high=[] if half is None else _padded(_less(mean, half, 1), count),
            hue=hue(at, len(lines)),
            end=str(at + 1),
        )
        for at, (method, mean, half) in enumerate(lines)
    ]
    last = ", ".join(f"{m.name} {decimal(mean[-1])}" for m, mean, _ in lines)
    return LineChart(
        id="so-far",
        title="Mean accuracy over the experiences so far",
        summary=f"After the last experience: {last}.",
        axes=[Axis("experience", "experience", "experience")],
        clocks=[{"experience": [float(number + 1) for number in range(count)]}],
        series=series,
        y_label="mean test accuracy so far",
        note=note,
    )


def _so_far(method: Method) -> tuple[list[float | None], list[float | None] | None]:
    """The mean after each experience and half its interval; a run that learnt all at once has it
    after the last one alone."""
    rows = []
    for matrix in _matrices(method):
        means = [float(row[: index + 1].mean()) for index, row in enumerate(matrix)]
        columns = matrix.shape[1]
        is_at_once = len(matrix) == 1 < columns
        rows.append([math.nan] * (columns - 1) + [float(matrix[0].mean())] if is_at_once else means)
    mean, half = mean_of(rows)
    return _known(mean.tolist()), None if half is None else _known(half.tolist())


def _matrices(method: Method) -> list[np.ndarray]:
    found = [np.asarray(run.measured.measurements.accuracy) for run in method.done]
    return [matrix for matrix in found if matrix.ndim == 2 and matrix.size]


def _known(values: Sequence[float]) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values]


def _less(
    mean: Sequence[float | None], half: Sequence[float | None], sign: int
) -> list[float | None]:
    """One end of each interval, inside [0, 1]."""
    return [
        None if m is None or h is None else min(max(m + sign * h, 0.0), 1.0)
        for m, h in zip(mean, half, strict=True)
    ]


def _padded(values: Sequence[float | None], count: int) -> list[float | None]:
    return [*values, *([None] * (count - len(values)))]
