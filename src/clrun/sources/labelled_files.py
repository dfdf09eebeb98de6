"""Image files with labels: one's own folders and tables, decoded once into the image cache."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import torch

from clrun.images.cache import cached_images
from clrun.images.download import Progress
from clrun.images.image_files import Decoder, ImageShape, image_shape, named
from clrun.images.patterns import Patterns
from clrun.sources.labelled_rows import BadRows, LabelledRows, one_line_errors
from clrun.sources.source import SourceData
from clrun.sources.statistics import (
    Facts,
    FactsKey,
    channel_statistics,
    facts_key,
    recall,
    remember,
)
from clrun.sources.value_range import check_file_depths, check_not_zeros_and_ones


class FileRows(NamedTuple):
    """Row i is the image in files[i]."""

    files: tuple[Path, ...]
    rows: LabelledRows


@dataclass(frozen=True, eq=False)
class LabelledFiles:
    """Names and labels are read at once, headers when the shape is asked for, pixels by `load`.

    Once loaded, the shape, mean and deviation are remembered: until a file changes, a later start
    opens no image (`images.cache` says what it looks at).
    """

    name: str
    root: Path
    """what benchmark.data_root names"""
    find: Callable[[], FileRows]
    """Raises DamagedFile or OSError for what is wrong with names and labels."""
    image_size: int | None
    """side to resize to; None: all images have one size"""
    num_channels: int | None
    """to convert to, 1 or 3; None: 1 if no image has colours, else 3"""

    @cached_property
    def found(self) -> FileRows:
        """The files and what belongs to them."""
        with one_line_errors(self.root):
            files, rows = self.find()
            return FileRows(files, rows.check())

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.found.rows.class_names

    @property
    def rows(self) -> LabelledRows:
        """The label, side and experience of each image."""
        return self.found.rows

    @property
    def channels(self) -> int:
        return self._shape.channels

    @property
    def height(self) -> int:
        return self._shape.height

    @property
    def width(self) -> int:
        return self._shape.width

    @property
    def mean(self) -> tuple[float, ...]:
        return self._facts.mean

    @property
    def std(self) -> tuple[float, ...]:
        return self._facts.std

    def check(self, root: Path, *, download: bool) -> None:
        """Raise ConfigError for whatever names, labels and headers show to be wrong."""
        _ = self.found, self._shape

    def load(
        self, root: Path, *, download: bool, on_progress: Progress | None = None
    ) -> SourceData:
        """Decode the files into the cache, or find them there.

        Raises:
            ConfigError: also where no image has a value that fits the files' type.
        """
        files, rows = self.found
        with one_line_errors(self.root):
            if recall(self._facts_key) is None:
                check_file_depths(files)
            x = cached_images(self._key, files, self._shape, Decoder(self._shape), on_progress)
        train, test = (~rows.is_test).nonzero().flatten(), rows.is_test.nonzero().flatten()
        if recall(self._facts_key) is None:
            statistics = channel_statistics(x[train])
            with one_line_errors(self.root):
                check_not_zeros_and_ones(x, statistics, "Save white as 255")
            remember(self._facts_key, Facts(*self._shape, *statistics))
        return SourceData(Patterns(x[train], rows.y[train]), Patterns(x[test], rows.y[test]))

    @property
    def _key(self) -> str:
        return f"{self.name}_{'x'.join(str(size) for size in self._shape)}"

    @cached_property
    def _facts_key(self) -> FactsKey:
        files, rows = self.found
        test = bytes(rows.is_test.to(torch.uint8).tolist())
        with one_line_errors(self.root):
            return facts_key(self.image_size, self.num_channels, test, files=files)

    @cached_property
    def _shape(self) -> ImageShape:
        if self.image_size is not None and self.num_channels is not None:
            return ImageShape(self.num_channels, self.image_size, self.image_size)
        if facts := recall(self._facts_key):
            return ImageShape(facts.channels, facts.height, facts.width)
        with one_line_errors(self.root):
            return self._read_shape()

    def _read_shape(self) -> ImageShape:
        """The shape that the headers of all files agree on."""
        files = self.found.files
        shapes = [image_shape(file) for file in files]
        channels = self.num_channels or max(shape.channels for shape in shapes)
        if self.image_size is not None:
            return ImageShape(channels, self.image_size, self.image_size)
        _, height, width = shapes[0]
        for file, (_, other_height, other_width) in zip(files, shapes, strict=True):
            if (other_height, other_width) != (height, width):
                raise BadRows(
                    f"{named(file)} has {other_width}x{other_height} pixels, and "
                    f"{named(files[0])} {width}x{height}. Use e.g. "
                    f"benchmark.image_size={min(height, width)} to resize them all"
                )
        return ImageShape(channels, height, width)

    @cached_property
    def _facts(self) -> Facts:
        facts = recall(self._facts_key)
        assert facts is not None, "asked for before the images were loaded"
        return facts
