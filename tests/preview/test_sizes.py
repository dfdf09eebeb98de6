from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from clrun.device.rows import Rows
from clrun.images.altered_rows import Permutation, altered, joined
from clrun.images.mapped_rows import MappedRows, RowFile
from clrun.images.patterns import Patterns
from clrun.preview.sizes import sizes
from clrun.streams.experience import Benchmark

LABELS = 8
ROW = 16


def with_images(stream: Benchmark, *images: Rows) -> Benchmark:
    """The stream, experience k with images[k] for training and testing."""
    for experience, x in zip(stream, images, strict=True):
        rows = Patterns(x, experience.train.y)
        object.__setattr__(experience, "train", rows)
        object.__setattr__(experience, "test", rows)
    return stream


def test_rows_that_experiences_share_are_counted_once(stream_of: Callable[..., Benchmark]) -> None:
    everything = torch.zeros(8, 1, 4, 4, dtype=torch.uint8)
    stream = with_images(stream_of([[3, 0], [0, 5]]), *everything.split([3, 5]))

    assert sizes(stream).memory == 8 * (ROW + LABELS)


def test_altered_images_take_no_more_than_the_ones_they_are_made_of(
    stream_of: Callable[..., Benchmark],
) -> None:
    x = torch.zeros(5, 1, 4, 4, dtype=torch.uint8)
    turned = altered(x, Permutation(torch.randperm(16)))
    stream = with_images(stream_of([[5], [5], [10]]), x, turned, joined([turned, turned]))

    assert sizes(stream) == (5 * ROW + 20 * LABELS, 0)


def test_rows_of_a_file_take_no_memory(stream_of: Callable[..., Benchmark], tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_bytes(bytes(9 * ROW))
    rows = MappedRows(RowFile(path, 9, (1, 4, 4)))
    stream = with_images(stream_of([[4, 0], [0, 5]]), *rows.split([4, 5]))

    assert sizes(stream) == (9 * LABELS, 9 * ROW)
