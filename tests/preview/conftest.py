"""What the tests of previews share: streams of digits, and one of experiences by experiences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import pytest
import torch

import clrun
from clrun.config.run_config import RunConfig
from clrun.images.patterns import Patterns
from clrun.images.transforms import Transform
from clrun.preview.facts import Preview, preview
from clrun.runner.prepare import build
from clrun.streams.experience import Benchmark, Experience, StreamShape

Counts = Sequence[Sequence[int]]


def composed(*overrides: str) -> RunConfig:
    return clrun.compose(["device=cpu", *overrides])


@pytest.fixture(scope="session")
def previewed() -> Callable[..., Preview]:
    """Overrides -> the preview of what they compose, made once; not to be changed."""

    @cache
    def make(*overrides: str) -> Preview:
        config = composed(*overrides)
        return preview(config, build(config.nodes["benchmark"]).load(config.seed))

    return make


def experience_of(index: int, counts: Sequence[int], channels: int) -> Experience:
    """An experience with so many rows of each class, their pixels telling the class."""
    y = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    x = y.to(torch.uint8)[:, None, None, None].expand(-1, channels, 4, 4).contiguous()
    rows = Patterns(x, y)
    classes = tuple(y.unique().tolist())
    return Experience(index=index, classes=classes, task_label=0, train=rows, test=rows)


@pytest.fixture(scope="session")
def stream_of() -> Callable[..., Benchmark]:
    """Rows of each class in each experience -> such a stream, of 4x4 images."""

    def make(
        counts: Counts, *, channels: int = 1, names: tuple[str, ...] | None = None
    ) -> Benchmark:
        classes = len(counts[0])
        shape = StreamShape(
            channels=channels,
            height=4,
            width=4,
            num_classes=classes,
            num_experiences=len(counts),
        )
        experiences = [experience_of(k, row, channels) for k, row in enumerate(counts)]
        return Benchmark(
            name="made",
            shape=shape,
            class_names=names or tuple(str(label) for label in range(classes)),
            experiences=experiences,
            transform=Transform((0.0,) * channels, (1.0,) * channels, "none"),
        )

    return make


@pytest.fixture(scope="session")
def preview_of(stream_of: Callable[..., Benchmark]) -> Callable[..., Preview]:
    """Rows of each class in each experience -> the preview of such a stream, for naive."""

    def make(counts: Counts, **options: object) -> Preview:
        return preview(composed("strategy=naive"), stream_of(counts, **options))

    return make
