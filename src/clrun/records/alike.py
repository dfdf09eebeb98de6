"""Runs that differ in chance alone, folded: each method with its runs, and what to call it."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clrun.config.run_config import UNNAMED
from clrun.config.sources import OF_A_RUN
from clrun.records.outcome import COMPLETED, is_seed, job_name
from clrun.records.past_run import PastRun
from clrun.records.results_end import flat
from clrun.records.spread import Spread, spread, t_quantile

Floats = NDArray[np.float64]

SAME_NUMBERS = (*UNNAMED, "log_every", "report", "device", "eval_mb_size", "data_root", "download")
"""Keys, or the ends of keys or what they begin with, that change no number but by rounding."""
PRECISION = "device.precision"


class Mean(NamedTuple):
    """The mean of arrays over runs, and half of its 95 % interval; None for one run alone."""

    mean: Floats
    half: Floats | None


@dataclass(frozen=True, kw_only=True)
class Method:
    """Runs with the same configuration but seeds."""

    values: Mapping[str, str]
    """key -> its value as typed, of those that tell it from the other methods"""
    runs: tuple[PastRun, ...]
    title: str = ""
    """what it is called by who found it; empty where its values say it"""
    is_reference: bool = False
    """others are held against it; it is not among those of which one is the best"""

    @property
    def name(self) -> str:
        """What tells it from the others, in a few words."""
        name = self.title or named(self.values) or _plain_name(self.runs[0])
        return f"{name} (reference)" if self.is_reference else name

    @property
    def done(self) -> tuple[PastRun, ...]:
        """The runs that completed."""
        return tuple(run for run in self.runs if run.status == COMPLETED)

    def by_seed(self, metric: str) -> dict[str, float]:
        """Seeds -> value of a metric, of the completed runs; empty where one of them has none."""
        found = {_seeds(run): run.metrics.get(metric) for run in self.done}
        known = {seeds: value for seeds, value in found.items() if value is not None}
        return known if len(known) == len(found) else {}

    def spread(self, metric: str) -> Spread | None:
        """A metric over the seeds; None where a completed run has none, or none is completed."""
        values = list(self.by_seed(metric).values())
        return spread(values) if values else None

    def cost(self, of: Callable[[Mapping[str, float | None]], float | None]) -> float | None:
        """The mean of a cost over the completed runs; None where one of them does not know it."""
        found = [of(flat(run.cost)) for run in self.done]
        known = [value for value in found if value is not None]
        return fmean(known) if known and len(known) == len(found) else None


def alike(runs: Sequence[PastRun]) -> list[Method]:
    """The methods among some runs, in the order of their first runs."""
    groups: dict[str, list[PastRun]] = defaultdict(list)
    for run in runs:
        groups[json.dumps(_items(run), sort_keys=True, default=str)].append(run)
    several = [tuple(group) for group in groups.values()]
    names = telling([_items(group[0]) for group in several])
    return [Method(values=v, runs=group) for v, group in zip(names, several, strict=True)]


def telling(found: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The fewest items of each mapping that tell it from the others, in their order.

    An item that splits no two that are not split already is left out, as is a value that one lacks.
    """
    classes = [0] * len(found)
    kept: list[str] = []
    for key in dict.fromkeys(key for items in found for key in items):
        split = _numbered(
            [(now, _text(items.get(key))) for now, items in zip(classes, found, strict=True)]
        )
        if max(split, default=0) > max(classes, default=0):
            classes, kept = split, [*kept, key]
    return [{key: _text(items[key]) for key in kept if key in items} for items in found]


def named(values: Mapping[str, str]) -> str:
    """Values in a few words: an option by its name alone, a key by its last part."""
    last = [key.rpartition(".")[2] for key in values]
    return " ".join(
        value if key in OF_A_RUN else f"{name if last.count(name) == 1 else key}={value}"
        for name, (key, value) in zip(last, values.items(), strict=True)
    )


def mean_of(arrays: Sequence[ArrayLike]) -> Mean:
    """The mean of arrays over runs, entry by entry where all of them have one; at least one array.

    Those of runs that went less far are filled up with NaN.
    """
    found = [np.asarray(array, dtype=np.float64) for array in arrays]
    shape = tuple(map(max, zip(*(array.shape for array in found), strict=True)))
    whole = np.full((len(found), *shape), np.nan)
    for place, array in enumerate(found):
        whole[place][tuple(slice(size) for size in array.shape)] = array
    count = len(found)
    if count == 1:
        return Mean(whole[0], None)
    half = t_quantile(count - 1) * whole.std(axis=0, ddof=1) / math.sqrt(count)
    return Mean(whole.mean(axis=0), half)


def _items(run: PastRun) -> dict[str, Any]:
    """What the numbers of a run follow from: options first, then keys, seeds left out."""
    options = {group: run.options[group] for group in OF_A_RUN if group in run.options}
    every = {**options, **run.values}
    return {key: value for key, value in every.items() if not is_seed(key) and _counts(key)}


def _counts(key: str) -> bool:
    """Whether a key changes numbers by more than rounding."""
    parts = (key.partition(".")[0], key.rpartition(".")[2])
    return key == PRECISION or not any(part in SAME_NUMBERS for part in parts)


def _seeds(run: PastRun) -> str:
    """What tells the runs of a method apart."""
    found = {key: value for key, value in run.values.items() if is_seed(key) and value is not None}
    return job_name({key: _text(value) for key, value in found.items()}) or str(run.folder)


def _plain_name(run: PastRun) -> str:
    """The name of a method that is alone: strategy and benchmark."""
    parts = (run.options.get("strategy"), run.options.get("benchmark"))
    return " on ".join(part for part in parts if part) or run.label


def _numbered(found: Sequence[object]) -> list[int]:
    numbers: dict[object, int] = {}
    return [numbers.setdefault(each, len(numbers)) for each in found]


def _text(value: object) -> str:
    """A value as it would be typed."""
    if isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"), default=str)
