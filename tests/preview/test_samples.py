from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from clrun.preview.samples import samples, spread_over_classes
from clrun.streams.experience import Benchmark


@pytest.mark.parametrize(
    ("counts", "each", "labels"),
    [
        ((3, 3), 4, [0, 0, 1, 1]),
        ((1, 1, 1), 6, [0, 1, 2]),
        ((90, 5, 5), 4, [0, 0, 0, 0]),
        ((50, 25, 25), 4, [0, 0, 1, 2]),
        ((0, 1), 3, [1]),
    ],
    ids=str,
)
def test_samples_are_shared_among_classes_as_rows_are(
    counts: tuple[int, ...], each: int, labels: list[int]
) -> None:
    y = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    y = y[torch.randperm(len(y), generator=torch.Generator().manual_seed(0))]

    rows = spread_over_classes(y, each)

    assert y[rows].tolist() == labels
    assert len(rows.unique()) == len(rows)


def test_samples_are_of_the_experiences_asked_for(stream_of: Callable[..., Benchmark]) -> None:
    stream = stream_of([[2, 0, 0], [0, 2, 0], [0, 0, 2]])

    found = samples(stream, [0, 2], each=2)

    assert [(s.experience, s.images.unique().tolist()) for s in found] == [(0, [0]), (2, [2])]
    assert found[0].images.shape == (2, 4, 4)


def test_images_in_colour_have_their_channels_last(stream_of: Callable[..., Benchmark]) -> None:
    [found] = samples(stream_of([[2]], channels=3), [0], each=2)

    assert found.images.shape == (2, 4, 4, 3)
