"""CORe50: 50 objects in 11 sessions of video, as its authors cut it into streams."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from clrun.config.bounds import Count, FilePath, Fraction
from clrun.config.keys import Known
from clrun.errors import ConfigError
from clrun.images.augment import AugmentPolicy, preset
from clrun.images.download import Progress
from clrun.images.files import data_folder, named_root
from clrun.images.lazy_rows import LazyRows
from clrun.images.patterns import Patterns
from clrun.images.transforms import IMAGENET, Transform
from clrun.images.unread_rows import UnreadRows
from clrun.seeds import generator
from clrun.sources.core50_files import Core50Files
from clrun.sources.core50_lists import (
    CATEGORIES,
    NUM_OBJECTS,
    OBJECTS_PER_CATEGORY,
    FileLists,
    read_lists,
)
from clrun.streams import scenarios
from clrun.streams.experience import Benchmark, Experience, StreamShape
from clrun.streams.guard import require_unsealed
from clrun.streams.labelling import Labelling
from clrun.streams.labels import labelled, labelled_shape
from clrun.streams.normalization import Normalize, without_weights

NUM_EXPERIENCES = {
    "ni": 8,
    "nc": 9,
    "nic": 79,
    "nicv2_79": 79,
    "nicv2_196": 196,
    "nicv2_391": 391,
}
NC_COUNTS: Sequence[int] = (10, *(5,) * 8)
"""Objects that each experience of `nc` brings."""


class Core50:
    """The published lists decide which image is in which experience, and in which order.

    The test set is one for the whole stream (sessions 3, 7 and 10). Its rows of a class are the
    test rows of the experience that first shows the class; an experience without a new class has
    none. Evaluated on all experiences, `acc_pooled` is the accuracy that the papers report.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        scenario: Literal["ni", "nc", "nic", "nicv2_79", "nicv2_196", "nicv2_391"]
        run: Annotated[int, Field(ge=0, le=9)]
        level: Literal["object", "category"]
        image_size: Literal[128, 32]
        test_every: Count
        augment: Literal["auto"] | AugmentPolicy
        normalize: Normalize
        validation_fraction: Fraction
        data_root: FilePath | None
        download: bool
        labels: Labelling = "global"  # with a default, which records of before it need

        def __post_init__(self) -> None:
            """Only classes that do not come back can have other labels: the test rows of a class
            are those of the first experience that has it."""
            named = self.scenario == "nc" and self.level == "object"
            if self.labels != "global" and not named:
                raise ValueError(
                    f"labels={self.labels}: with scenario={self.scenario} and level={self.level} "
                    "classes come back, and are tested in the first experience that has them "
                    "alone. Use labels=global, or scenario=nc and level=object."
                )

        def conflicts(self, known: Known) -> Iterator[str]:
            """A normalisation for weights needs some."""
            yield from without_weights(self.normalize, known)

        def all_conflicts(self, known: Known) -> Iterator[str]:
            """Nothing more is true of all benchmarks."""
            yield from self.conflicts(known)

    def __init__(self, config: Config) -> None:
        self.config = config
        self.files = Core50Files(
            data_folder(config.data_root),
            config.image_size,
            config.scenario,
            config.run,
            NUM_EXPERIENCES[config.scenario],
        )

    def shape(self) -> StreamShape:
        """Sizes and counts, without reading any data."""
        return labelled_shape(self._shape(), self.config.labels, lambda: NC_COUNTS)

    def _shape(self) -> StreamShape:
        """That of the stream with the classes as published."""
        side = self.config.image_size
        return StreamShape(
            channels=3,
            height=side,
            width=side,
            num_classes=NUM_OBJECTS if self.config.level == "object" else len(CATEGORIES),
            num_experiences=NUM_EXPERIENCES[self.config.scenario],
        )

    def check(self) -> None:
        """Raise ConfigError for missing files; fetches nothing, writes nothing."""
        self.files.check(download=self.config.download)

    def load(self, seed: int, on_progress: Progress | None = None) -> Benchmark:
        """The stream; images stay on the disk. `seed` decides which rows are for validation.

        Raises:
            ConfigError, DownloadError: files are missing, damaged or cannot be fetched.
            StorageError: an archive or the cache cannot be written.
        """
        require_unsealed("core50")
        lists = self._lists(on_progress)
        download = self.config.download
        x = self.files.images(lists.names, download=download, on_progress=on_progress)
        return self._benchmark(x, lists, seed)

    def outline(self, seed: int, on_progress: Progress | None = None) -> Benchmark:
        """The same stream without its images, of which none need be there; for counting.

        Raises:
            ConfigError, DownloadError: lists are missing, damaged or cannot be fetched.
        """
        self.files.check_lists(download=self.config.download)
        lists, side = self._lists(on_progress), self.config.image_size
        x = UnreadRows(len(lists.names), (3, side, side), str(self.files.folder))
        return self._benchmark(x, lists, seed)

    def _lists(self, on_progress: Progress | None) -> FileLists:
        files = self.files
        files.fetch_lists(download=self.config.download, on_progress=on_progress)
        with named_root(files.root):
            return read_lists(files.lists, NUM_EXPERIENCES[self.config.scenario])

    def _benchmark(self, x: LazyRows, lists: FileLists, seed: int) -> Benchmark:
        stream = Benchmark(
            name=f"core50_{self.config.scenario}",
            shape=self._shape(),
            class_names=self._class_names(lists),
            experiences=self._experiences(x, lists, seed),
            transform=self._transform(),
        )
        return labelled(stream, self.config.labels, lambda: NC_COUNTS)

    def _experiences(self, x: LazyRows, lists: FileLists, seed: int) -> list[Experience]:
        y = self._labels(lists)
        first = first_seen(y, lists.train, self._shape().num_classes)
        test = lists.test[:: self.config.test_every]
        tested_in = first[y[test]]
        experiences = []
        for k, listed in enumerate(lists.train):
            rows, held_out = self._held_out(y, listed, k, seed)
            experiences.append(
                Experience(
                    index=k,
                    classes=tuple(y[rows].unique().tolist()),  # unique() sorts
                    task_label=0,
                    train=_chosen(x, y, rows),
                    test=_chosen(x, y, test[tested_in == k]),
                    validation=None if held_out is None else _chosen(x, y, held_out),
                )
            )
        return experiences

    def _labels(self, lists: FileLists) -> Tensor:
        if self.config.level == "object":
            return lists.labels
        return lists.objects // OBJECTS_PER_CATEGORY

    def _class_names(self, lists: FileLists) -> tuple[str, ...]:
        if self.config.level == "category":
            return CATEGORIES
        named = {
            label: f"{CATEGORIES[k // OBJECTS_PER_CATEGORY]}{k % OBJECTS_PER_CATEGORY + 1}"
            for label, k in torch.stack([lists.labels, lists.objects], 1).unique(dim=0).tolist()
        }
        return tuple(named.get(label, f"object {label + 1}") for label in range(NUM_OBJECTS))

    def _held_out(self, y: Tensor, rows: Tensor, k: int, seed: int) -> tuple[Tensor, Tensor | None]:
        """The rows to train on and those held out, both in the list's order."""
        fraction = self.config.validation_fraction
        if fraction == 0:
            return rows, None
        kept, held = scenarios.hold_out(y[rows], fraction, generator(seed, "validation", k))
        if len(held) == 0:
            raise ConfigError(
                f"benchmark.validation_fraction={fraction}: is not one row of any class of "
                f"experience {k}. Use a larger fraction, or 0 for no validation data."
            )
        return rows[kept], rows[held]

    def _transform(self) -> Transform:
        augment = preset("core50") if self.config.augment == "auto" else self.config.augment
        if self.config.normalize:
            return Transform(*IMAGENET, augment)
        return Transform((0.0,) * 3, (1.0,) * 3, augment)


def _chosen(x: LazyRows, y: Tensor, rows: Tensor) -> Patterns:
    return Patterns(x[rows], y[rows])


def first_seen(y: Tensor, train: list[Tensor], num_classes: int) -> Tensor:
    """The first experience that trains on each class; len(train) if none does. [classes] int64"""
    first = torch.full((num_classes,), len(train))
    experience = torch.arange(len(train)).repeat_interleave(torch.tensor([len(r) for r in train]))
    return first.scatter_reduce(0, y[torch.cat(train)], experience, "amin")
