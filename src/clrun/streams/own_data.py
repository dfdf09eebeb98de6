"""One's own images as a stream, without code: class folders, a table of files, arrays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Protocol

from clrun.config.nodes import Part
from clrun.errors import ConfigError
from clrun.images.download import Progress
from clrun.sources import OWN_SOURCES
from clrun.sources.labelled_rows import LabelledRows
from clrun.sources.source import Source
from clrun.streams.experience import Benchmark, StreamShape
from clrun.streams.own_keys import OwnKeys
from clrun.streams.partition import Assignment, Labels, with_validation
from clrun.streams.scenarios import by_experience, limit_per_class
from clrun.streams.split import Split
from clrun.streams.split_keys import SplitKeys


class OwnSource(Source, Protocol):
    """A source that also knows what the data say of each row."""

    @property
    def rows(self) -> LabelledRows: ...


class OwnData:
    """A `Split` whose data may say which experience a row is in; labels are read when it is made.

    The scenario `given` takes the experiences from the data; `auto` does so where they say them,
    and is `nc` where they do not. n_experiences null: as many as the data say, or one for each
    class. Without test data a share of each class is set aside, the same for every seed.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(OwnKeys):
        source: Annotated[str, Part(OWN_SOURCES)]

        def check_parts(self, source: Any) -> None:
            """Nothing is known of the classes before the labels are read."""

    def __init__(self, config: OwnKeys, source: OwnSource) -> None:
        rows = source.rows
        try:
            keys = config.numbered(rows.class_names)
            keys = keys.resolved(len(rows.class_names), rows.num_experiences)
        except ValueError as error:
            raise ConfigError(f"benchmark.{error}") from None
        if keys.scenario != "given":
            self._split = Split(keys, source)
        else:
            self._split = Split(keys, source, partial(as_given, keys, rows), given_counts(rows))

    def shape(self) -> StreamShape:
        """Sizes and counts; image files are opened for it only if no key says their size."""
        return self._split.shape()

    def check(self) -> None:
        """Raise ConfigError for missing or malformed files; writes nothing."""
        self._split.check()

    def load(self, seed: int, on_progress: Progress | None = None) -> Benchmark:
        """The stream; see `Split.load`."""
        return self._split.load(seed, on_progress)

    def outline(self, seed: int, on_progress: Progress | None = None) -> Benchmark | None:
        """The stream without its images; see `Split.outline`."""
        return self._split.outline(seed, on_progress)


def given_counts(rows: LabelledRows) -> list[int]:
    """How many classes the training rows of each experience have, as the data say."""
    assert rows.experience is not None  # or the scenario would not be called given
    train = rows.side == 0
    y, experience = rows.y[train], rows.experience[train]
    parts = by_experience(experience, int(rows.experience.max()) + 1)
    return [len(y[part].unique()) for part in parts]


def as_given(keys: SplitKeys, rows: LabelledRows, labels: Labels, seed: int) -> Assignment:
    """Each row in the experience that the data say.

    Raises:
        ConfigError: an experience would have no rows, or none to validate on.
    """
    assert rows.experience is not None  # or the scenario would not be called given
    ours, theirs, held_out = (rows.experience[rows.side == side] for side in range(3))
    if keys.limit_per_class is not None:
        ours = ours[limit_per_class(rows.y[rows.side == 0], keys.limit_per_class)]
    n = keys.n_experiences
    partition = Assignment(by_experience(ours, n), by_experience(theirs, n), None)
    for k, found in enumerate(partition.train):
        if len(found) == 0:
            raise ConfigError(
                f"benchmark.limit_per_class={keys.limit_per_class}: leaves no training "
                f"rows of experience {k}. Use a higher limit, or null."
            )
    if rows.has_validation:
        return partition._replace(validation=by_experience(held_out, n))
    return with_validation(keys, seed, labels.train, partition)
