"""Seals on a stream: what a run may not see raises LeakError when it is opened.

A study of hyperparameters reads the first experiences and their validation rows, and nothing else
(Chaudhry et al. 2019, https://arxiv.org/abs/1812.00420, section 4). What is sealed is not there:
no object that the run is given holds those rows, and while it runs no benchmark of clrun reads them
again. A program that opens the files itself is beyond that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from math import prod
from typing import NoReturn, overload

import torch
from torch import Tensor

from clrun.device.rows import Rows
from clrun.errors import ConfigError, LeakError
from clrun.images.altered_rows import joined
from clrun.images.patterns import Patterns, joined_patterns
from clrun.images.transforms import IMAGENET
from clrun.sources.statistics import channel_statistics
from clrun.streams.experience import Benchmark, Experience

BUDGET = 256_000_000
"""Most bytes of images outside memory whose mean and deviation are computed for a run."""

_sealed_runs = [0]
"""How many runs are going on in this process on a sealed stream, whichever of its threads asks."""


class SealedExperience(Experience):
    """An experience whose test rows are not there."""

    @classmethod
    def of(cls, experience: Experience) -> SealedExperience:
        """The same without its test rows."""
        made = object.__new__(cls)  # a frozen dataclass, one of whose fields is not to be set
        vars(made).update({k: v for k, v in vars(experience).items() if k != "test"})
        return made

    @classmethod
    def of_all(cls, every: Sequence[Experience]) -> Experience:
        """One experience with all training rows of these."""
        train = joined_patterns([experience.train for experience in every])
        classes = tuple(sorted({c for experience in every for c in experience.classes}))
        none = Patterns(train.x[:0], train.y[:0])
        merged = Experience(
            index=0,
            classes=classes,
            task_label=0,
            train=train,
            test=none,
            merged_from=tuple(experience.classes for experience in every),
        )
        return cls.of(merged)

    @property
    def test(self) -> NoReturn:
        """Test rows, which are not there.

        Raises:
            LeakError: always.
        """
        raise LeakError(
            f"experiences[{self.index}].test: a run with eval.stream=validation may not open the "
            "test stream."
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}(index={self.index}, classes={self.classes})"


class FirstExperiences(Sequence[Experience]):
    """The first experiences of a stream. A later one is not there."""

    def __init__(self, first: Sequence[Experience], whole: int) -> None:
        """`whole`: how many experiences the stream has."""
        self._first, self.whole = list(first), whole

    def __len__(self) -> int:
        return len(self._first)

    def __iter__(self) -> Iterator[Experience]:
        return iter(self._first)

    @overload
    def __getitem__(self, index: int) -> Experience: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Experience]: ...
    def __getitem__(self, index: int | slice) -> Experience | Sequence[Experience]:
        """An experience, or some of the first.

        Raises:
            LeakError: the stream has it, and it is not among the first.
        """
        if isinstance(index, int) and len(self) <= index < self.whole:
            raise LeakError(
                f"experiences[{index}]: a run with first_experiences={len(self)} may open the "
                f"first {len(self)} of {self.whole} experiences."
            )
        return self._first[index]


def sealed(
    benchmark: Benchmark, first: int | None, *, test: bool, by_data: bool = False
) -> Benchmark:
    """The benchmark with its first experiences alone, and without test rows if `test`.

    `by_data`: its images are normalised by statistics of all its training images, so these are
    computed again of what is left.

    Raises:
        ConfigError: it has fewer experiences.
    """
    whole = len(benchmark)
    if first is not None and first > whole:
        raise ConfigError(
            f"first_experiences={first}: the stream has {whole}. Use at most {whole}, or null."
        )
    kept: Sequence[Experience] = benchmark.experiences
    if first is not None and first < whole:
        kept = FirstExperiences([_apart(e) for e in kept[:first]], whole)
        shape = replace(benchmark.shape, num_experiences=first)
        benchmark = replace(benchmark, shape=shape, experiences=kept)
        benchmark = _normalised_anew(benchmark) if by_data else benchmark
    if test:
        benchmark = replace(benchmark, experiences=_without_test_rows(kept))
    return benchmark


@contextmanager
def nothing_else_opened(*, sealed: bool) -> Iterator[None]:
    """While a run on a sealed stream goes on, no benchmark of clrun reads its data once more."""
    _sealed_runs[0] += sealed  # a run within one that is sealed opens no more than that
    try:
        yield
    finally:
        _sealed_runs[0] -= sealed


def require_unsealed(name: str) -> None:
    """Called by a benchmark that is about to read its data.

    Raises:
        LeakError: a run is going on whose stream is sealed.
    """
    if _sealed_runs[0]:
        raise LeakError(
            f"{name}: is opened anew by a run that may see only a part of it "
            "(first_experiences, or eval.stream=validation)."
        )


def _without_test_rows(experiences: Sequence[Experience]) -> Sequence[Experience]:
    bare = [SealedExperience.of(experience) for experience in experiences]
    if isinstance(experiences, FirstExperiences):
        return FirstExperiences(bare, experiences.whole)
    return bare


def _apart(experience: Experience) -> Experience:
    """The experience in memory of its own: rows of a stream are views of one sorted copy."""
    held_out = experience.validation
    return replace(
        experience,
        train=_copied(experience.train),
        test=_copied(experience.test),
        validation=None if held_out is None else _copied(held_out),
    )


def _copied(patterns: Patterns) -> Patterns:
    x = patterns.x.clone() if isinstance(patterns.x, Tensor) else patterns.x
    return Patterns(x, patterns.y.clone())


def _normalised_anew(benchmark: Benchmark) -> Benchmark:
    """The benchmark with mean and deviation of the training images that it has left.

    ImageNet's, which some benchmarks take for theirs, say nothing of the data and stay.
    """
    transform = benchmark.transform
    if (transform.mean, transform.std) == IMAGENET:
        return benchmark
    x = joined([experience.train.x for experience in benchmark])
    mean, std = channel_statistics(_spread(x))
    note = f"Images are normalised by mean and deviation of the first {len(benchmark)} experiences."
    return replace(
        benchmark,
        transform=replace(transform, mean=mean, std=std),
        notes=(*benchmark.notes, note),
    )


def _spread(x: Rows) -> Rows:
    """All rows, or of those outside memory evenly spaced ones."""
    most = max(1, BUDGET // max(1, prod(x.shape[1:])))
    if isinstance(x, Tensor) or len(x) <= most:
        return x
    return x[torch.linspace(0, len(x) - 1, most).long()]
