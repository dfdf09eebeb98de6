"""Whether a stream is as its nouns say: dtypes, sizes, labels. Read from any benchmark."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from clrun.errors import ConfigError
from clrun.images.patterns import Patterns
from clrun.streams.experience import Benchmark, Experience, StreamShape


def require_shape(shape: object, name: str) -> None:
    """Refuse what is no `StreamShape`, or one without an image, a class or an experience.

    Raises:
        ConfigError: with `name` of the benchmark.
    """
    if not isinstance(shape, StreamShape):
        raise ConfigError(
            f"{name}: shape() gives a {type(shape).__name__}. It must give a "
            "clrun.streams.experience.StreamShape."
        )
    for key, value in vars(shape).items():
        if not isinstance(value, int) or value < 1:
            raise ConfigError(f"{name}: shape() has {key}={value!r}. It must be an int above 0.")


def require_sound(stream: object, shape: StreamShape, name: str) -> None:
    """Refuse a stream that cannot be learnt and scored as it is.

    Raises:
        ConfigError: with `name` of the benchmark, the member, what it is and what it must be.
    """
    if not isinstance(stream, Benchmark):
        raise ConfigError(
            f"{name}: load gives a {type(stream).__name__}. It must give a "
            "clrun.streams.experience.Benchmark."
        )
    problem = next(_problems(stream, shape), None)
    if problem is not None:
        raise ConfigError(f"{name}: {problem}")


def _problems(stream: Benchmark, shape: StreamShape) -> Iterator[str]:
    """What is wrong, a line each; a later line may rely on what earlier ones look at."""
    for key, value in vars(shape).items():
        given = getattr(stream.shape, key)
        if given != value and key != "num_experiences":  # of scenario=online, that is a bound
            yield f"its stream's shape has {key}={given}, and shape() says {value}."
    yield from _problems_of_names(stream)
    for place, experience in enumerate(stream.experiences):
        where = f"experiences[{place}]"
        if not isinstance(experience, Experience):
            kind = type(experience).__name__
            yield f"{where} is a {kind}. It must be a clrun.streams.experience.Experience."
        if experience.index != place:
            yield f"{where}.index is {experience.index}. It must be {place}."
        for part in ("train", "test", "validation"):
            patterns = getattr(experience, part)
            if patterns is not None or part != "validation":
                yield from _problems_of_rows(patterns, stream.shape, f"{where}.{part}")
        yield from _problems_of_training(experience, where)


def _problems_of_names(stream: Benchmark) -> Iterator[str]:
    shape = stream.shape
    if len(stream.class_names) != shape.num_classes:
        yield (
            f"class_names has {len(stream.class_names)} names. It must have "
            f"{shape.num_classes}, one for each class."
        )
    if len(stream.experiences) < shape.num_experiences:
        yield (
            f"experiences has {len(stream.experiences)} entries. It must have "
            f"{shape.num_experiences} (num_experiences)."
        )
    mean = getattr(stream.transform, "mean", None)
    if mean is not None and len(mean) != shape.channels:
        yield (
            f"transform.mean has {len(mean)} entries. It must have {shape.channels}, one for each "
            "channel."
        )


def _problems_of_rows(patterns: object, shape: StreamShape, where: str) -> Iterator[str]:
    """What is wrong with the images and labels of one part of an experience."""
    if not isinstance(patterns, Patterns):
        kind = type(patterns).__name__
        yield f"{where} is a {kind}. It must be Patterns(x, y) of clrun.images.patterns."
    assert isinstance(patterns, Patterns)
    x, y = patterns
    size = f"{shape.channels}, {shape.height}, {shape.width}"
    if _described(x, "N") != f"uint8 [N, {size}]":
        yield f"{where}.x is {_described(x)}. It must be a tensor, uint8 [N, {size}]."
    if _described(y, "N") != "int64 [N]" or y.device.type != "cpu":
        yield f"{where}.y is {_described(y)}. It must be a tensor on the CPU, int64 [N]."
    if len(y) != len(x):
        yield f"{where}.y has {len(y)} labels for {len(x)} images. Give one each."
    if len(y) and not 0 <= int(y.min()) <= int(y.max()) < shape.num_classes:
        yield (
            f"{where}.y has labels {int(y.min())} to {int(y.max())}. They must be 0 to "
            f"{shape.num_classes - 1}."
        )


def _problems_of_training(experience: Experience, where: str) -> Iterator[str]:
    y = experience.train.y
    if not len(y):
        yield f"{where}.train has no rows. Every experience must have some."
    found = tuple(torch.bincount(y).nonzero().flatten().tolist())
    if tuple(experience.classes) != found:
        yield (
            f"{where}.classes is {_few(experience.classes)}, and train.y has the classes "
            f"{_few(found)}."
        )


def _described(rows: Any, count: str | None = None) -> str:
    """A tensor, or rows that serve as one, as `uint8 [180, 1, 8, 8]`; anything else by its type.

    `count` is shown in place of the number of rows.
    """
    if not hasattr(rows, "index_select"):
        return f"a {type(rows).__module__}.{type(rows).__qualname__}"
    sizes = list(map(str, rows.shape))
    if sizes and count is not None:
        sizes[0] = count
    return f"{str(rows.dtype).removeprefix('torch.')} [{', '.join(sizes)}]"


def _few(classes: tuple[int, ...]) -> str:
    """At most ten classes in brackets."""
    shown = ", ".join(map(str, classes[:10]))
    return f"[{shown}, ...]" if len(classes) > 10 else f"[{shown}]"
