"""What a benchmark asks of a source of images."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol

from clrun.images.download import Progress
from clrun.images.patterns import Patterns


class SourceData(NamedTuple):
    """All of a source, as its publishers divide it."""

    train: Patterns
    test: Patterns
    validation: Patterns | None = None
    """rows of the publishers' own to validate on, none of which is in `train`"""
    notes: tuple[str, ...] = ()
    """what a user should know of the data, a line each"""
    damaged_files: int = 0
    """files that were left out"""


class Source(Protocol):
    """Labelled images of one size, and what is known of them before they are read.

    A source of another package is a class with these members and a `Config` dataclass, made as
    `Class(config)`; a benchmark's YAML names it as `source: package.module:Class`, with its keys
    beside those of the benchmark. A key that both have has one value. A `Config` that knows the
    number of classes says so in `num_classes`; then what does not fit them is refused before
    anything is imported. One with `outline() -> SourceData` gives rows without their images
    (`UnreadRows`), so that a preview need not read any; it is called after `check`. One with
    `auto_augment`, such as "flip", says what `benchmark.augment=auto` means for its images.
    """

    @property
    def name(self) -> str: ...
    @property
    def channels(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of classes 0, 1, 2, ..."""

    @property
    def mean(self) -> tuple[float, ...]:
        """The mean of each channel over the training images, pixels in [0, 1]."""

    @property
    def std(self) -> tuple[float, ...]:
        """The standard deviation of each channel over the training images, pixels in [0, 1]."""

    def check(self, root: Path, *, download: bool) -> None:
        """Raise ConfigError for what can be seen to be wrong without reading or fetching data."""

    def load(
        self, root: Path, *, download: bool, on_progress: Progress | None = None
    ) -> SourceData:
        """Read the files under `root`; fetch those that are missing if `download`.

        Raises:
            ConfigError: files are missing, damaged or unreadable.
            DownloadError: a file could not be fetched.
            StorageError: a fetched file could not be written.
        """


class Keyless:
    """A source without keys of its own: its `Config` is empty."""

    def __init__(self, config: object = None) -> None:
        """Nothing of `config` is read."""
