"""A source of images cut into a stream: the scenarios, over any source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, get_args

import torch
from torch import Tensor

from clrun.config.nodes import Part
from clrun.device.memory import require_memory
from clrun.device.rows import Rows
from clrun.errors import ConfigError
from clrun.images.altered_rows import Alteration, Permutation, Rotation, altered, resized
from clrun.images.augment import JITTER, AugmentPolicy, changes_colors, preset
from clrun.images.download import Progress
from clrun.images.files import data_folder
from clrun.images.patterns import Patterns
from clrun.images.transforms import Transform
from clrun.seeds import generator
from clrun.sources import SOURCES
from clrun.sources.source import Source, SourceData
from clrun.streams import scenarios
from clrun.streams.experience import Benchmark, Experience, StreamShape
from clrun.streams.guard import require_unsealed
from clrun.streams.labels import labelled, labelled_shape
from clrun.streams.partition import ALTERED, Assignment, Labels, by_keys
from clrun.streams.split_keys import SplitKeys

PartitionRule = Callable[[Labels, int], Assignment]
"""The labels of all rows, and the seed -> the rows of each experience."""


class Split:
    """A stream of experiences over one label space, whose labels `labels` decides (`labels.py`).

    A partition of the training rows (every row in exactly one experience):
    nc: each class in one experience, tested on the test rows of its classes. ni: all classes in
    each; the test rows are dealt out as the training rows are, since the whole test set for each
    would make the columns of the accuracy matrix equal. nic: training and test rows of each class
    are dealt to sessions; experience 0 has the first session of `first_experience_classes` classes
    (null: 1), every later one has one session of one class. online: nc with `n_experiences` steps,
    cut into minibatches of `rows_per_experience` that take no notice of the steps; each minibatch
    is an experience, and test rows follow the training rows of their class. blurry: nc, with a
    share `blur` of the training rows of each class dealt to the other experiences. repetition: nc,
    but a class comes back in each later experience with probability `repetition_p`; its training
    and test rows are shared equally among the experiences it is in.

    No partition: long_tailed is nc with class c keeping n_c * imbalance^(-c/(C-1)) training rows,
    drawn at random, and the others left out. permuted and rotated have every training and test row
    in each experience, with the pixels permuted (the first: as they are), or turned by the
    experience's angle (null: 0, 180/n, 2 * 180/n, ... degrees).

    The task label is always 0: nothing tells the experiences apart. `limit_per_class` leaves out
    training rows before anything else, `validation_fraction` takes them from what is trained on.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(SplitKeys):
        source: Annotated[str, Part(SOURCES)]

        def check_parts(self, source: Any) -> None:
            """Raise ValueError unless the stream can be cut from the source's classes, where its
            `Config` says how many there are."""
            num_classes = getattr(source, "num_classes", None)
            if num_classes is not None:
                self.check_classes(num_classes)

    def __init__(
        self,
        config: SplitKeys,
        source: Source,
        partition: PartitionRule | None = None,
        counts: Sequence[int] | None = None,
    ) -> None:
        """`partition` puts rows into experiences, so many classes into each as `counts` says; the
        keys of `config` do if they are left out."""
        try:
            config = config.numbered(source.class_names)
        except ValueError as error:
            raise ConfigError(f"benchmark.{error}") from None
        self.config, self.source = config, source
        self.root = data_folder(config.data_root)  # absolute now, whatever folder comes later
        place = f"data_root={self.root}"
        self.partition = partition or partial(by_keys, config, len(source.class_names), place)
        self._given_counts = counts

    def shape(self) -> StreamShape:
        """Sizes and counts, without reading any data."""
        return labelled_shape(self._shape(), self.config.labels, self._counts)

    def _counts(self) -> Sequence[int]:
        """How many classes each experience has."""
        given = self._given_counts
        return (
            self.config.classes_by_experience(self._shape().num_classes) if given is None else given
        )

    def _shape(self) -> StreamShape:
        """That of the stream with the classes as the source has them."""
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
        try:
            self.config.check_classes(len(self.source.class_names))
        except ValueError as error:  # of a source whose classes are not known before
            raise ConfigError(f"benchmark.{error}") from None
        if changes_colors(self._augment()) and self.source.channels not in (1, 3):
            raise ConfigError(
                f"benchmark.augment={self.config.augment}: the images have "
                f"{self.source.channels} channels, and colours are changed of grey or RGB ones. "
                f"Use another augmentation."
            )

    def load(self, seed: int, on_progress: Progress | None = None) -> Benchmark:
        """The stream; the same for the same seed.

        Raises:
            ConfigError, DownloadError, StorageError: see `Source.load`; also ConfigError for an
                experience that would have no rows.
        """
        require_unsealed(self.source.name)
        download = self.config.download
        data = self.source.load(self.root, download=download, on_progress=on_progress)
        return self._stream(data, seed, self._transform(), on_progress)

    def outline(self, seed: int, on_progress: Progress | None = None) -> Benchmark | None:
        """The same stream without its images, for counting; None where the source reads them.

        Raises:
            ConfigError: see `check`; also for an experience that would have no rows.
        """
        outline: Callable[[], SourceData] | None = getattr(self.source, "outline", None)
        if outline is None:
            return None
        self.check()
        channels = self.source.channels
        return self._stream(
            outline(), seed, Transform((0.0,) * channels, (1.0,) * channels, "none")
        )

    def _stream(
        self,
        data: SourceData,
        seed: int,
        transform: Transform,
        on_progress: Progress | None = None,
    ) -> Benchmark:
        config = self.config
        train, validation = data.train, data.validation
        if config.limit_per_class is not None:
            rows = scenarios.limit_per_class(train.y, config.limit_per_class)
            train = Patterns(train.x[rows], train.y[rows])
        self._require_room(train, data.test)
        train, test = (self._resized(part, on_progress) for part in (train, data.test))
        validation = None if validation is None else self._resized(validation, on_progress)
        stream = Benchmark(
            name=f"{self.source.name}_{config.scenario}",
            shape=self._shape(),
            class_names=self.source.class_names,
            experiences=self._experiences(train, test, validation, seed),
            transform=transform,
            notes=data.notes,
            damaged_files=data.damaged_files,
        )
        return labelled(stream, config.labels, self._counts)

    def _experiences(
        self, train: Patterns, test: Patterns, validation: Patterns | None, seed: int
    ) -> list[Experience]:
        labels = Labels(train.y, test.y, None if validation is None else validation.y)
        rows = self.partition(labels, seed)
        parts = [_sliced(train, rows.train), _sliced(test, rows.test)]
        validation_rows = train if validation is None else validation
        held = None if rows.validation is None else _sliced(validation_rows, rows.validation)
        if self.config.scenario in ALTERED:
            changes = self._alterations(train.x, seed)
            parts = [[_changed(part[0], change) for change in changes] for part in parts]
            held = None if held is None else [_changed(held[0], change) for change in changes]
        return [
            Experience(
                index=k,
                classes=tuple(ours.y.unique().tolist()),  # unique() sorts
                task_label=0,
                train=ours,
                test=theirs,
                validation=None if held is None else held[k],
            )
            for k, (ours, theirs) in enumerate(zip(*parts, strict=True))
        ]

    def _alterations(self, x: Rows, seed: int) -> list[Alteration | None]:
        """The alteration of each experience's images; None leaves them alone."""
        config, (height, width) = self.config, x.shape[2:]
        own = config.class_order_seed
        if config.scenario == "rotated":
            step = 180 / config.n_experiences
            angles = config.angles or [k * step for k in range(config.n_experiences)]
            return [Rotation(angle, height, width) if angle else None for angle in angles]
        rngs = [
            generator(seed if own is None else own, "permutation", k)
            for k in range(1, config.n_experiences)
        ]
        return [None, *(Permutation(torch.randperm(height * width, generator=rng)) for rng in rngs)]

    def _resized(self, patterns: Patterns, on_progress: Progress | None) -> Patterns:
        side = self.config.image_size
        if side is None:
            return patterns
        return Patterns(resized(patterns.x, side, on_progress), patterns.y)

    def _require_room(self, *parts: Patterns) -> None:
        """Refuse to resize more images in memory than there is memory."""
        side = self.config.image_size
        rows = [part.x.shape for part in parts if isinstance(part.x, Tensor)]
        if side is not None and rows:
            require_memory(
                sum(count * channels for count, channels, *_ in rows) * side**2,
                f"benchmark.image_size={side}: {sum(shape[0] for shape in rows):,} images",
                "Use a smaller size, or benchmark.limit_per_class.",
            )

    def _transform(self) -> Transform:
        channels = self.source.channels
        mean, std = (0.0,) * channels, (1.0,) * channels
        if self.config.normalize:
            mean, std = self.source.mean, self.source.std
        strengths = JITTER if self.config.jitter is None else tuple(self.config.jitter)
        return Transform(mean, std, self._augment(), strengths)

    def _augment(self) -> AugmentPolicy:
        named = self.config.augment
        if named != "auto":
            return named
        declared: AugmentPolicy | None = getattr(self.source, "auto_augment", None)
        allowed = [policy for policy in get_args(AugmentPolicy) if policy != "auto"]
        if declared is not None and declared not in allowed:
            raise ConfigError(
                f"benchmark.augment=auto: {type(self.source).__name__}.auto_augment is "
                f"{declared!r}. It must be one of {', '.join(allowed)}."
            )
        return preset(self.source.name) if declared is None else declared


def _changed(patterns: Patterns, alteration: Alteration | None) -> Patterns:
    return patterns if alteration is None else Patterns(altered(patterns.x, alteration), patterns.y)


def _sliced(patterns: Patterns, rows: list[Tensor]) -> list[Patterns]:
    """Views of one copy that is sorted by experience; of a choice, where x is not in memory."""
    order, sizes = torch.cat(rows), [len(of_experience) for of_experience in rows]
    x, y = patterns.x[order].split(sizes), patterns.y[order].split(sizes)
    return [Patterns(*both) for both in zip(x, y, strict=True)]
