"""The nouns of a stream: experiences, and a benchmark made of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from clrun.images.download import Progress
from clrun.images.patterns import Patterns, joined_patterns
from clrun.images.transforms import Transform


@dataclass(frozen=True, kw_only=True, eq=False)
class Experience:
    """One step of the stream: what becomes available at once, and how it is tested."""

    index: int
    classes: tuple[int, ...]
    """The classes that occur in `train`, ascending."""
    task_label: int
    train: Patterns
    test: Patterns
    validation: Patterns | None = None
    """Rows held out of the training data (`benchmark.validation_fraction`); never trained on."""


@dataclass(frozen=True, kw_only=True)
class StreamShape:
    """Sizes and counts of a benchmark, known before any of its data are read."""

    channels: int
    height: int
    width: int
    num_classes: int
    num_experiences: int
    """a lower bound for scenario=online: its minibatches can only be counted in the data"""


@dataclass(frozen=True, kw_only=True, eq=False)
class Benchmark:
    """A finite stream of experiences over one label space. Iterating twice gives the same."""

    name: str
    shape: StreamShape
    class_names: tuple[str, ...]
    experiences: Sequence[Experience]
    transform: Transform

    def __len__(self) -> int:
        return len(self.experiences)

    def __iter__(self) -> Iterator[Experience]:
        return iter(self.experiences)


class BenchmarkSource(Protocol):
    """A benchmark before its data are read: the class that an option's YAML names as its target.

    It is made as `Class(config)` with its own `Config` dataclass, whose fields are the YAML's keys.
    """

    def shape(self) -> StreamShape:
        """Sizes and counts, without reading any data."""

    def check(self) -> None:
        """Raise ConfigError for missing or malformed files; fetches nothing, writes nothing."""

    def load(self, seed: int, on_progress: Progress | None = None) -> Benchmark:
        """The stream; the same for the same seed. Nothing is read before.

        Raises:
            ConfigError: data are missing, damaged or too few for the keys.
            DownloadError: a file could not be fetched.
            StorageError: a fetched file or the cache could not be written.
        """


def merged(benchmark: Benchmark) -> Experience:
    """All rows of a benchmark in one experience, for strategies that learn the stream at once."""
    every = benchmark.experiences
    return Experience(
        index=0,
        classes=tuple(sorted({c for experience in every for c in experience.classes})),
        task_label=0,
        train=joined_patterns([experience.train for experience in every]),
        test=joined_patterns([experience.test for experience in every]),
    )
