"""A benchmark with other labels: one stream is class-, domain- and task-incremental learning.

    global             the number of a class in the data
    within_experience  its place among the classes of its experience, in their order: all
                       experiences share outputs (domain-incremental learning)
    per_experience     an output of that experience's own: its place, after the classes of all
                       experiences before (task-incremental learning, also where classes return)

The classes of an experience are those of its training rows. It is one change of the whole benchmark
after its scenario, so that nothing that follows knows of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import accumulate

import torch

from clrun.errors import ConfigError
from clrun.images.patterns import Patterns
from clrun.streams.experience import Benchmark, Experience, StreamShape
from clrun.streams.labelling import Labelling, outputs

MOST_NAMES = 5
"""More classes than this that share a label are not all named."""

Counts = Callable[[], Sequence[int]]
"""How many classes each experience has, known before any data are read."""


def labelled_shape(shape: StreamShape, labels: Labelling, counts: Counts) -> StreamShape:
    """The shape of the benchmark that `labelled` makes of one with this shape.

    Raises:
        ConfigError: there is no such number of classes.
    """
    if labels == "global":
        return shape
    try:
        return replace(shape, num_classes=outputs(labels, counts()))
    except ValueError as error:
        raise ConfigError(f"benchmark.{error}") from None


def labelled(benchmark: Benchmark, labels: Labelling, counts: Counts) -> Benchmark:
    """The benchmark with such labels instead of the numbers of classes.

    Raises:
        ConfigError: a class has none in its experience, or two.
    """
    if labels == "global":
        return benchmark
    shape = labelled_shape(benchmark.shape, labels, counts)
    names, sizes = benchmark.class_names, list(counts())
    for experience, size in zip(benchmark, sizes, strict=True):
        _require(experience, size, labels, names)
    starts = list(accumulate(sizes, initial=0)) if labels == "per_experience" else [0] * len(sizes)
    places = [
        {c: start + place for place, c in enumerate(experience.classes)}
        for experience, start in zip(benchmark, starts, strict=False)
    ]
    if labels == "within_experience":
        _require_one_place(places, names)
    return replace(
        benchmark,
        shape=shape,
        class_names=_names(names, places, shape.num_classes),
        experiences=[
            _renumbered(experience, place, len(names))
            for experience, place in zip(benchmark, places, strict=True)
        ],
    )


def _require(experience: Experience, size: int, labels: Labelling, names: Sequence[str]) -> None:
    """Refuse an experience that lacks a class, or has other rows of one that it does not learn."""
    given = f"benchmark.labels={labels}: experience {experience.index}"
    if len(experience.classes) != size:
        raise ConfigError(
            f"{given} has training rows of {len(experience.classes)} of its {size} classes. "
            "Use more rows, or benchmark.labels=global."
        )
    held_out = experience.validation
    parts = {"test": experience.test, "validation": held_out}
    for part, patterns in parts.items():
        y = torch.zeros(0) if patterns is None else patterns.y
        foreign = set(y.unique().long().tolist()) - set(experience.classes)
        if foreign:
            raise ConfigError(
                f"{given} has {part} rows of class {names[min(foreign)]}, which it does not learn. "
                f"Use other {part} rows, or benchmark.labels=global."
            )


def _require_one_place(places: Sequence[dict[int, int]], names: Sequence[str]) -> None:
    """Refuse a class that comes back with another label."""
    first: dict[int, tuple[int, int]] = {}
    for index, experience in enumerate(places):
        for c, label in experience.items():
            before, where = first.setdefault(c, (label, index))
            if before != label:
                raise ConfigError(
                    f"benchmark.labels=within_experience: class {names[c]} would be label "
                    f"{before} in experience {where} and {label} in experience {index}. "
                    "Use benchmark.labels=global or per_experience."
                )


def _names(
    names: Sequence[str], places: Sequence[dict[int, int]], num_labels: int
) -> tuple[str, ...]:
    """A name for each label: of the classes that share it, or of the one class it is of.

    Where a class has several labels its name says which experience this one is of, counted from 1.
    """
    found: list[dict[str, None]] = [{} for _ in range(num_labels)]
    labels_of: dict[int, set[int]] = defaultdict(set)
    for experience in places:
        for c, label in experience.items():
            labels_of[c].add(label)
    for index, experience in enumerate(places):
        for c, label in experience.items():
            several = len(labels_of[c]) > 1
            found[label][f"{names[c]} (experience {index + 1})" if several else names[c]] = None
    return tuple(_joined(list(each)) for each in found)


def _joined(names: list[str]) -> str:
    more = ["..."] if len(names) > MOST_NAMES else []
    return " | ".join([*names[:MOST_NAMES], *more])


def _renumbered(experience: Experience, place: dict[int, int], num_classes: int) -> Experience:
    table = torch.full((num_classes,), -1)
    table[list(place)] = torch.tensor(list(place.values()))

    def part(patterns: Patterns) -> Patterns:
        return Patterns(patterns.x, table[patterns.y])

    held_out = experience.validation
    return replace(
        experience,
        classes=tuple(place[c] for c in experience.classes),
        train=part(experience.train),
        test=part(experience.test),
        validation=None if held_out is None else part(held_out),
    )
