"""From methods to figures: which numbers each kind of figure shows, and what it has no room for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from clrun.errors import ConfigError
from clrun.metrics.table import all_metrics
from clrun.plot import curves, matrix, pareto
from clrun.plot.looks import INK
from clrun.records.alike import Method, mean_of
from clrun.records.costs import COSTS
from clrun.records.points import HEADLINES

MOST_PANELS, MOST_CURVES = 6, 10
"""With more methods than this the best are shown."""


class Drawn(NamedTuple):
    """A figure to be, and what it does not show."""

    draw: Callable[[float], Figure]
    """by its width"""
    notes: list[str]


def matrices(methods: Sequence[Method]) -> Drawn:
    """The accuracy matrix of each method."""
    shown, notes = _best(_measured(methods), MOST_PANELS)
    panels = []
    for method in shown:
        mean, half = mean_of([run.measured.measurements.accuracy for run in _runs(method)])
        title = f"{method.name}{_count(len(_runs(method)))}"
        panels.append(matrix.Panel(title=title, mean=mean, half=half))
    return Drawn(lambda width: matrix.draw(panels, width), notes)


def accuracies(methods: Sequence[Method]) -> Drawn:
    """The accuracy over the experiences so far, of each method; of one alone each experience's."""
    shown, notes = _best(_measured(methods), MOST_CURVES)
    if len(shown) == 1:
        so_far = replace(_so_far(shown[0], "mean of those so far"), tone=INK)
        lines = [*_each_experience(shown[0]), so_far]
        return Drawn(_curves(lines, "accuracy on an experience"), notes)
    lines = [_so_far(method, f"{method.name}{_count(len(_runs(method)))}") for method in shown]
    return Drawn(_curves(lines, "mean accuracy so far"), notes)


def fronts(methods: Sequence[Method], against: str, metric: str | None = None) -> Drawn:
    """What the accuracy of methods costs.

    Raises:
        ConfigError: no method has both numbers.
    """
    key, cost = metric or _headline(methods), COSTS[against]
    every, methods = len(methods), [method for method in methods if not method.is_reference]
    naming = _naming(methods)
    spots, left_out = [], 0
    for kind, name, method in zip(naming.kinds, naming.names, methods, strict=True):
        found, mean = method.spread(key), method.cost(cost.of)
        if found is None or mean is None:
            left_out += 1
            continue
        half = found.half_width
        spot = pareto.Spot(kind=kind, name=name, cost=mean, accuracy=found.mean, half=half)
        spots.append(spot)
    if not spots:
        raise ConfigError(f"--against={against}: no run has {key} and {cost.label}.")
    notes = [f"{left_out} of {len(methods)} methods have no {key} or no {cost.label}."]
    notes = notes if left_out else []
    if every > len(methods):
        notes.append("references are on no front, and left out.")
    label = all_metrics()[key].label if key in all_metrics() else key
    return Drawn(
        lambda width: pareto.draw(
            spots,
            cost=cost.label,
            unit=cost.unit,
            accuracy=label,
            said=naming.said,
            width=width,
        ),
        notes,
    )


def _curves(lines: Sequence[curves.Curve], label: str) -> Callable[[float], Figure]:
    return lambda width: curves.draw(lines, x_label="experience", y_label=label, width=width)


def _so_far(method: Method, name: str) -> curves.Curve:
    """After each experience the mean over those that were learnt."""
    rows = [_means_so_far(np.asarray(run.measured.measurements.accuracy)) for run in _runs(method)]
    mean, half = mean_of(rows)
    last = max(np.shape(run.measured.measurements.accuracy)[1] for run in _runs(method))
    x = np.arange(1.0, len(mean) + 1) if len(mean) > 1 else np.array([float(last)])
    return curves.Curve(name=name, x=x, mean=mean, half=half)


def _means_so_far(accuracy: NDArray[np.float64]) -> NDArray[np.float64]:
    if len(accuracy) == 1:  # learnt at once, so that all of them are so far
        return accuracy.mean(axis=1)
    return np.array([row[: index + 1].mean() for index, row in enumerate(accuracy)])


def _each_experience(method: Method) -> list[curves.Curve]:
    """The accuracy on each experience from when it was learnt."""
    matrices = [np.asarray(run.measured.measurements.accuracy) for run in _runs(method)]
    mean, half = mean_of(matrices)
    rows, columns = mean.shape
    if rows < 2 or columns > MOST_CURVES:
        return []
    return [
        curves.Curve(
            name=f"experience {j + 1}",
            x=np.arange(j + 1.0, rows + 1),
            mean=mean[j:, j],
            half=None if half is None else half[j:, j],
            is_main=False,
        )
        for j in range(min(rows, columns))
    ]


class Naming(NamedTuple):
    """What stands for each method in a figure with points."""

    kinds: list[str]
    """of the colour of each"""
    names: list[str]
    """beside each"""
    said: str
    """what colours and names are; empty where the names say it"""


def _naming(methods: Sequence[Method]) -> Naming:
    """The one of two keys with fewer values has the colours; else all have one."""
    keys = list(dict.fromkeys(key for method in methods for key in method.values))
    if len(keys) != 2 or any(len(method.values) != 2 for method in methods):
        return Naming([""] * len(methods), [method.name for method in methods], "")
    counts = {key: len({method.values[key] for method in methods}) for key in keys}
    kind, name = sorted(keys, key=counts.__getitem__)
    return Naming(
        [method.values[kind] for method in methods],
        [method.values[name] for method in methods],
        f"colours: {kind.rpartition('.')[2]}, beside them: {name.rpartition('.')[2]}",
    )


def _headline(methods: Sequence[Method]) -> str:
    """What methods are ranked by: the first that all have, else the first that any has."""
    for enough in (all, any):
        for key in HEADLINES:
            if enough(method.spread(key) is not None for method in methods):
                return key
    return HEADLINES[0]


def _best(methods: Sequence[Method], most: int) -> tuple[list[Method], list[str]]:
    """The methods, or the best of so many."""
    if len(methods) <= most:
        return list(methods), []
    key = _headline(methods)

    def mean(method: Method) -> float:
        found = method.spread(key)
        return -np.inf if found is None else found.mean

    best = sorted(methods, key=mean, reverse=True)[:most]
    return best, [f"the best {most} of {len(methods)} methods are shown, by {key}."]


def _measured(methods: Sequence[Method]) -> list[Method]:
    """Those that were evaluated.

    Raises:
        ConfigError: none was.
    """
    found = [
        method
        for method in methods
        if any(np.size(run.measured.measurements.accuracy) for run in _runs(method))
    ]
    if not found:
        raise ConfigError("nothing to draw: no run was evaluated after an experience.")
    return found


def _runs(method: Method) -> Sequence:  # type: ignore[type-arg]
    return method.done or method.runs


def _count(runs: int) -> str:
    return f" ({runs} runs)" if runs > 1 else ""
