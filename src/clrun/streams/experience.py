"""The nouns of a stream: experiences, and a benchmark made of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from clrun.errors import ConfigError
from clrun.images.arrays import patterns_of_arrays
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
    """Rows held out of the training data (`benchmark.validation_fraction`), or that one's own data
    have for it; never trained on."""
    merged_from: tuple[tuple[int, ...], ...] = ()
    """The classes of each experience that this one was merged of, if it was."""

    @classmethod
    def of_all(cls, every: Sequence[Experience]) -> Experience:
        """One experience with all training and test rows of these."""
        return Experience(
            index=0,
            classes=tuple(sorted({c for experience in every for c in experience.classes})),
            task_label=0,
            train=joined_patterns([experience.train for experience in every]),
            test=joined_patterns([experience.test for experience in every]),
            merged_from=tuple(experience.classes for experience in every),
        )


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
    notes: tuple[str, ...] = ()
    """What a user should know of the data, a line each."""
    damaged_files: int = 0
    """Files that were left out (`benchmark.damaged=skip`)."""

    @classmethod
    def of_arrays(
        cls,
        train: Sequence[tuple[Any, Any]],
        test: Sequence[tuple[Any, Any]],
        *,
        name: str = "own",
        class_names: Sequence[str] | None = None,
        transform: Transform | None = None,
    ) -> Benchmark:
        """A benchmark of (images, labels) in memory: one pair for each experience, in order.

        Images are uint8 [N, C, H, W] or [N, H, W], NumPy arrays or tensors; labels are whole
        numbers [N]. Without `class_names` there are as many classes as the largest label says;
        without a `transform` the model sees pixels in [0, 1].

        Raises:
            ConfigError: arrays that do not fit together, or no experience at all.
        """
        pairs = {"train": train, "test": test}
        if not train or len(train) != len(test):
            raise ConfigError(f"train, test: {len(train)} and {len(test)} pairs. Give as many.")
        rows = {
            part: [patterns_of_arrays(x, y, f"{part}[{k}]") for k, (x, y) in enumerate(pairs[part])]
            for part in pairs
        }
        return _benchmark(rows["train"], rows["test"], name, class_names, transform)

    def __len__(self) -> int:
        return len(self.experiences)

    def __iter__(self) -> Iterator[Experience]:
        return iter(self.experiences)


class BenchmarkSource(Protocol):
    """A benchmark before its data are read: the class that an option's YAML names as its target.

    It is made as `Class(config)` with its own `Config` dataclass, whose fields are the YAML's keys.
    It may also have `outline(seed, on_progress)`: as `load`, with images that cannot be read, for
    a preview of data that are not all there.
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
    return type(every[0]).of_all(every)


def _benchmark(
    train: list[Patterns],
    test: list[Patterns],
    name: str,
    class_names: Sequence[str] | None,
    transform: Transform | None,
) -> Benchmark:
    """The benchmark of these rows, which must be images of one size.

    Raises:
        ConfigError: they are not, or a label has no class name.
    """
    sizes = {tuple(patterns.x.shape[1:]) for patterns in [*train, *test]}
    if len(sizes) > 1:
        raise ConfigError(f"images: of {len(sizes)} sizes, {sorted(sizes)}. Give them one.")
    largest = max(int(patterns.y.max()) for patterns in [*train, *test])
    names = tuple(class_names or map(str, range(largest + 1)))
    if largest >= len(names):
        raise ConfigError(f"labels: up to {largest}, and there are {len(names)} class names.")
    [(channels, height, width)] = sizes
    experiences = [
        Experience(
            index=k, classes=tuple(ours.y.unique().tolist()), task_label=0, train=ours, test=theirs
        )
        for k, (ours, theirs) in enumerate(zip(train, test, strict=True))
    ]
    return Benchmark(
        name=name,
        shape=StreamShape(
            channels=channels,
            height=height,
            width=width,
            num_classes=len(names),
            num_experiences=len(train),
        ),
        class_names=names,
        experiences=experiences,
        transform=transform or Transform((0.0,) * channels, (1.0,) * channels, "none"),
    )
