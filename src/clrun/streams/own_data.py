"""One's own images as a stream, without code: class folders, a table of files, arrays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal, Protocol, cast

from torch import Tensor

from clrun.errors import ConfigError
from clrun.sources.csv_table import find_in_table
from clrun.sources.folder import find_in_folders
from clrun.sources.labelled_files import LabelledFiles
from clrun.sources.labelled_rows import LabelledRows
from clrun.sources.npz import NpzArrays
from clrun.sources.source import Source
from clrun.streams.own_keys import OwnKeys
from clrun.streams.partition import Assignment, Partition
from clrun.streams.scenarios import by_experience, limit_per_class
from clrun.streams.split import Split
from clrun.streams.split_keys import SplitKeys


class OwnSource(Source, Protocol):
    """A source that also knows what the data say of each row."""

    @property
    def rows(self) -> LabelledRows: ...


class OwnData(Split):
    """What the three have in common. Names and labels are read when it is made.

    The scenario `given` takes the experiences from the data; `auto` does so where they say them,
    and is `nc` where they do not. n_experiences null: as many as the data say, or one for each
    class. Without test data a share of each class is set aside, the same for every seed.
    """

    missing_root: str
    """the way out for benchmark.data_root=null"""

    def __init__(self, config: OwnKeys) -> None:
        if config.data_root is None:
            raise ConfigError(f"benchmark.data_root=null: {self.missing_root}")
        super().__init__(config)
        rows = cast(OwnSource, self.source).rows
        try:
            self.config = config.settled(len(rows.class_names), rows.num_experiences)
        except ValueError as error:
            raise ConfigError(f"benchmark.{error}") from None

    def _rows(self, train: Tensor, test: Tensor, seed: int) -> Assignment:
        if cast(OwnKeys, self.config).scenario != "given":
            return super()._rows(train, test, seed)
        rows, limit = cast(OwnSource, self.source).rows, self.config.limit_per_class
        assert rows.experience is not None  # or it would not be called given
        ours, theirs = rows.experience[~rows.is_test], rows.experience[rows.is_test]
        if limit is not None:
            ours = ours[limit_per_class(rows.y[~rows.is_test], limit)]
        place = f"data_root={self.root}"
        return AsGiven(self.config, len(rows.class_names), seed, place, ours, theirs).rows(
            train, test
        )


class AsGiven(Partition):
    """Each row in the experience that the data say."""

    def __init__(
        self,
        keys: SplitKeys,
        num_classes: int,
        seed: int,
        source: str,
        train: Tensor,
        test: Tensor,
    ) -> None:
        super().__init__(keys, num_classes, seed, source)
        self.experiences = train, test

    def _partition(self, train: Tensor, test: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        n = self.keys.n_experiences
        ours, theirs = (by_experience(given, n) for given in self.experiences)
        for k, rows in enumerate(ours):
            if len(rows) == 0:
                raise ConfigError(
                    f"benchmark.limit_per_class={self.keys.limit_per_class}: leaves no training "
                    f"rows of experience {k}. Use a higher limit, or null."
                )
        return ours, theirs


class Folder(OwnData):
    """Class folders of images: DIR/CLASS/..., or DIR/train/CLASS/... and DIR/test/CLASS/..."""

    @dataclass(frozen=True, kw_only=True)
    class Config(OwnKeys):
        channels: Literal[1, 3] | None

    missing_root = "name the folder that holds the class folders, e.g. benchmark.data_root=photos."

    def _source(self) -> Source:
        config = cast(Folder.Config, self.config)
        find = partial(find_in_folders, self.root, config.test_fraction)
        return LabelledFiles("folder", self.root, find, config.image_size, config.channels)


class Csv(OwnData):
    """A comma-separated table of image files: columns path, label, optional split, experience."""

    @dataclass(frozen=True, kw_only=True)
    class Config(OwnKeys):
        channels: Literal[1, 3] | None

    missing_root = "name the table, e.g. benchmark.data_root=photos/labels.csv."

    def _source(self) -> Source:
        config = cast(Csv.Config, self.config)
        find = partial(find_in_table, self.root, config.test_fraction)
        return LabelledFiles("csv", self.root, find, config.image_size, config.channels)


class Npz(OwnData):
    """Arrays x and y in an .npz file, optional x_test, y_test, task and task_test."""

    @dataclass(frozen=True, kw_only=True)
    class Config(OwnKeys):
        pass

    missing_root = "name the file, e.g. benchmark.data_root=photos.npz."

    def _source(self) -> Source:
        return NpzArrays(self.root, cast(Npz.Config, self.config).test_fraction)
