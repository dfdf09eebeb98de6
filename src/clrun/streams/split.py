"""A source of images cut into a stream: by new classes, new instances, or both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from clrun.config.bounds import Count, Fraction
from clrun.errors import ConfigError
from clrun.seeds import generator
from clrun.streams import scenarios
from clrun.streams.class_counts import (
    check_class_order,
    check_every_class_everywhere,
    class_counts,
    num_sessions,
)
from clrun.streams.download import Progress
from clrun.streams.experience import Benchmark, Experience, Patterns, StreamShape
from clrun.streams.sources import NUM_CLASSES, SOURCES, SourceName
from clrun.streams.sources.files import data_folder
from clrun.streams.transforms import AugmentPolicy, Transform, resize


class Split:
    """Every row of the source is in exactly one experience; labels keep their numbers.

    nc: experience k is tested on the test rows of its own classes. ni: the test rows are dealt
    out as the training rows are, so that each experience has a test of its own with all classes;
    the whole test set for each would make the columns of the accuracy matrix equal. nic: training
    and test rows of each class are dealt to sessions; experience 0 has the first session of
    `first_experience_classes` classes (null: 1), every later one has one session of one class.
    There is one label space and no task label to tell the experiences apart: it is always 0.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        source: SourceName
        scenario: Literal["nc", "ni", "nic"]
        n_experiences: Count
        class_order: Literal["fixed", "shuffled"] | list[int]
        class_order_seed: int | None
        first_experience_classes: Count | None
        classes_per_experience: list[Count] | None
        data_root: str | None
        download: bool
        image_size: Count | None
        augment: Literal["none", "flip", "crop", "crop_flip"]
        normalize: bool
        limit_per_class: Count | None
        validation_fraction: Fraction

        def __post_init__(self) -> None:
            num_classes = NUM_CLASSES[self.source]
            if self.data_root is not None and not self.data_root.strip():
                raise ValueError("data_root='': names no folder. Use null for the default one.")
            first, listed = self.first_experience_classes, self.classes_per_experience
            if self.scenario == "ni":
                check_every_class_everywhere(self.class_order, first, listed)
            elif self.scenario == "nic":
                num_sessions(num_classes, self.n_experiences, first, listed)
            else:
                class_counts(num_classes, self.n_experiences, first, listed)
            check_class_order(self.class_order, self.class_order_seed, num_classes, self.scenario)

    def __init__(self, config: Config) -> None:
        self.config = config
        self.source = SOURCES[config.source]()
        self.root = data_folder(config.data_root)  # absolute now, whatever folder comes later

    def shape(self) -> StreamShape:
        """Sizes and counts, without reading any data."""
        side = self.config.image_size
        return StreamShape(
            channels=self.source.channels,
            height=side or self.source.height,
            width=side or self.source.width,
            num_classes=len(self.source.class_names),
            num_experiences=self.config.n_experiences,
        )

    def check(self) -> None:
        """Raise ConfigError for missing or malformed files; fetches nothing, writes nothing."""
        self.source.check(self.root, download=self.config.download)

    def load(self, seed: int, on_progress: Progress | None = None) -> Benchmark:
        """The stream, read into memory; the same for the same seed.

        Raises:
            ConfigError, DownloadError, StorageError: see `Source.load`; also ConfigError for an
                experience that would have no rows.
        """
        config = self.config
        train, test = self.source.load(self.root, download=config.download, on_progress=on_progress)
        if config.limit_per_class is not None:
            rows = scenarios.limit_per_class(train.y, config.limit_per_class)
            train = Patterns(train.x[rows], train.y[rows])
        train, test = self._resized(train), self._resized(test)
        train_rows, test_rows = self._cut(train.y, test.y, seed)
        kept, held = self._held_out(train, train_rows, seed)
        experiences = [
            Experience(
                index=k,
                classes=tuple(ours.y.unique().tolist()),  # unique() sorts
                task_label=0,
                train=ours,
                test=theirs,
                validation=validation,
            )
            for k, (ours, theirs, validation) in enumerate(
                zip(_sliced(train, kept), _sliced(test, test_rows), held, strict=True)
            )
        ]
        return Benchmark(
            name=f"{self.source.name}_{config.scenario}",
            shape=self.shape(),
            class_names=self.source.class_names,
            experiences=experiences,
            transform=self._transform(),
        )

    def _resized(self, patterns: Patterns) -> Patterns:
        side = self.config.image_size
        return patterns if side is None else Patterns(resize(patterns.x, side), patterns.y)

    def _transform(self) -> Transform:
        augment: AugmentPolicy = self.config.augment
        if self.config.normalize:
            return Transform(self.source.mean, self.source.std, augment)
        channels = self.source.channels
        return Transform((0.0,) * channels, (1.0,) * channels, augment)

    def _cut(self, train: Tensor, test: Tensor, seed: int) -> tuple[list[Tensor], list[Tensor]]:
        """The rows of each experience, from the labels of all rows."""
        if self.config.scenario == "nc":
            groups = self._class_groups(seed)
            return self._rows_of(groups, train, "training"), self._rows_of(groups, test, "test")
        if self.config.scenario == "nic":
            return self._sessions(train, test, seed)
        n, fewest = self.config.n_experiences, min(len(train), len(test))
        if n > fewest:
            raise ConfigError(
                f"benchmark.n_experiences={n}: each needs a training and a test row. "
                f"Use at most {fewest}."
            )
        return (
            scenarios.new_instances(train, n, generator(seed, "new instances")),
            scenarios.new_instances(test, n, generator(seed, "new instances for testing")),
        )

    def _sessions(
        self, train: Tensor, test: Tensor, seed: int
    ) -> tuple[list[Tensor], list[Tensor]]:
        n, num_classes = self.config.n_experiences, len(self.source.class_names)
        first = self.config.first_experience_classes or 1
        sessions = num_sessions(num_classes, n, first, None)
        each = [(label,) for label in range(num_classes)]
        of_classes = [*self._rows_of(each, train, "training"), *self._rows_of(each, test, "test")]
        fewest = min(len(rows) for rows in of_classes)
        if sessions > fewest:
            raise ConfigError(
                f"benchmark.n_experiences={n}: each of {sessions} sessions of a class needs a "
                f"training and a test row. Use at most {num_classes * fewest + 1 - first}."
            )
        order, order_seed = self._class_order(seed), self._order_seed(seed)
        units = scenarios.arrange_units(
            order[:first], num_classes, sessions, generator(order_seed, "unit order")
        )
        return (
            scenarios.new_units(train, units, generator(order_seed, "sessions")),
            scenarios.new_units(test, units, generator(order_seed, "sessions for testing")),
        )

    def _class_groups(self, seed: int) -> list[tuple[int, ...]]:
        config = self.config
        return scenarios.class_groups(
            len(self.source.class_names),
            config.n_experiences,
            config.first_experience_classes,
            config.classes_per_experience,
            self._class_order(seed),
        )

    def _class_order(self, seed: int) -> tuple[int, ...]:
        rng = generator(self._order_seed(seed), "class order")
        return scenarios.arrange_classes(len(self.source.class_names), self.config.class_order, rng)

    def _order_seed(self, seed: int) -> int:
        own = self.config.class_order_seed
        return seed if own is None else own

    def _rows_of(self, groups: Sequence[tuple[int, ...]], y: Tensor, what: str) -> list[Tensor]:
        rows = scenarios.new_classes(y, groups)
        for group, found in zip(groups, rows, strict=True):
            if len(found) == 0:
                raise ConfigError(
                    f"benchmark.data_root={self.root}: has no {what} rows of classes {group}. "
                    f"Use the whole data set."
                )
        return rows

    def _held_out(
        self, train: Patterns, rows: list[Tensor], seed: int
    ) -> tuple[list[Tensor], list[Patterns] | list[None]]:
        """The rows that are left to train on, and the validation patterns of each experience."""
        fraction = self.config.validation_fraction
        if fraction == 0:
            return rows, [None] * len(rows)
        kept, held = [], []
        for k, ours in enumerate(rows):
            left, out = scenarios.hold_out(
                train.y[ours], fraction, generator(seed, "validation", k)
            )
            if len(out) == 0:
                raise ConfigError(
                    f"benchmark.validation_fraction={fraction}: is not one row of any class of "
                    f"experience {k}. Use a larger fraction, or 0 for no validation data."
                )
            kept.append(ours[left])
            held.append(ours[out])
        return kept, _sliced(train, held)


def _sliced(patterns: Patterns, rows: list[Tensor]) -> list[Patterns]:
    """Views of one copy that is sorted by experience."""
    order, sizes = torch.cat(rows), [len(of_experience) for of_experience in rows]
    x, y = patterns.x[order].split(sizes), patterns.y[order].split(sizes)
    return [Patterns(*both) for both in zip(x, y, strict=True)]
