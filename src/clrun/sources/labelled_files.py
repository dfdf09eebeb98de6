"""Image files with labels: one's own folders and tables, decoded once into the image cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from clrun.images.cache import cached_images
from clrun.images.download import Progress
from clrun.images.files import DamagedFile, DamagedFiles, some
from clrun.images.image_files import Decoder, ImageShape, image_shape, named
from clrun.images.lazy_rows import LazyRows
from clrun.images.patterns import Patterns
from clrun.images.unread_rows import UnreadRows
from clrun.sources.class_names import BadRows
from clrun.sources.copies import check_files_apart, in_full, notes_on_copies
from clrun.sources.damage import damaged_files, without_damaged
from clrun.sources.labelled_rows import LabelledRows, one_line_errors
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
    notes: tuple[str, ...] = ()
    """what a user should know of the files, a line each"""
    damaged: int = 0
    """files that were left out"""


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
    can_skip: bool = False
    """whether benchmark.damaged=skip is the user's way out of damaged files"""

    @cached_property
    def found(self) -> FileRows:
        """The files and what belongs to them."""
        with one_line_errors(self.root):
            found = self.find()
            check_files_apart(found.files, found.rows.side)
            return found._replace(rows=found.rows.check())

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
        files, _, notes, damaged = self.found
        with one_line_errors(self.root), self._way_out():
            if recall(self._facts_key) is None:
                check_file_depths(files)
            x = cached_images(self._key, files, self._shape, Decoder(self._shape), on_progress)
        train, test, validation = self._by_side(x)
        if recall(self._facts_key) is None:
            statistics = channel_statistics(train.x)
            with one_line_errors(self.root):
                check_not_zeros_and_ones(x, statistics, "Save white as 255")
            rows_of = dict(zip(("training", "test", "validation"), self._numbers, strict=True))
            copies = notes_on_copies(
                train.x,
                {"test": test.x, "validation": validation.x},
                lambda side, k: in_full(files[int(rows_of[side][k])]),
            )
            remember(self._facts_key, Facts(*self._shape, *statistics, copies))
        return self._data(train, test, validation, notes + self._facts.notes, damaged)

    def outline(self) -> SourceData:
        """The rows without their images, of which only headers are read; what else was found in
        them is there if it is remembered.

        Raises:
            ConfigError: see `check`.
        """
        files, _, notes, damaged = self.found
        x = UnreadRows(len(files), tuple(self._shape), str(self.root))
        facts = recall(self._facts_key)
        return self._data(*self._by_side(x), notes + (facts.notes if facts else ()), damaged)

    @cached_property
    def _numbers(self) -> list[Tensor]:
        """The numbers of the rows to train on, to test on and to validate on."""
        return [(self.rows.side == side).nonzero().flatten() for side in range(3)]

    def _by_side(self, x: LazyRows) -> tuple[Patterns, Patterns, Patterns]:
        train, test, validation = (Patterns(x[rows], self.rows.y[rows]) for rows in self._numbers)
        return train, test, validation

    def _data(
        self,
        train: Patterns,
        test: Patterns,
        validation: Patterns,
        notes: tuple[str, ...],
        damaged: int,
    ) -> SourceData:
        held_out = validation if self.rows.has_validation else None
        return SourceData(train, test, held_out, notes, damaged)

    @contextmanager
    def _way_out(self) -> Iterator[None]:
        """Say of damaged files that they can be skipped, where a key says so."""
        try:
            yield
        except DamagedFiles as error:
            if not self.can_skip:
                raise
            them = "the file, take it" if len(error.damaged) == 1 else "the files, take them"
            raise BadRows(f"{error}. Repair {them} out, or use benchmark.damaged=skip") from error

    @property
    def _key(self) -> str:
        return f"{self.name}_{'x'.join(str(size) for size in self._shape)}"

    @cached_property
    def _facts_key(self) -> FactsKey:
        files, rows, *_ = self.found
        side = bytes(rows.side.tolist())
        with one_line_errors(self.root):
            return facts_key(self.image_size, self.num_channels, side, files=files)

    @cached_property
    def _shape(self) -> ImageShape:
        if self.image_size is not None and self.num_channels is not None:
            return ImageShape(self.num_channels, self.image_size, self.image_size)
        if facts := recall(self._facts_key):
            return ImageShape(facts.channels, facts.height, facts.width)
        with one_line_errors(self.root), self._way_out():
            return self._read_shape()

    def _read_shape(self) -> ImageShape:
        """The shape that the headers of all files agree on."""
        files = self.found.files
        try:
            shapes = [image_shape(file) for file in files]
        except DamagedFile as error:
            raise DamagedFiles(damaged_files(files) or {0: error}) from error
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


def all_files(found: FileRows) -> FileRows:
    """All of them, damaged or not."""
    return found


def whole_files(found: FileRows) -> FileRows:
    """The files that can be decoded, with a note on the others."""
    files, rows, reasons = without_damaged(found.files, found.rows)
    if not reasons:
        return found
    reason = f"{len(reasons)} damaged files are skipped: {some(reasons, '; ')}."
    if len(reasons) == 1:
        reason = f"1 damaged file is skipped: {reasons[0]}."
    return FileRows(files, rows, (*found.notes, reason), len(reasons))
