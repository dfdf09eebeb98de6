from __future__ import annotations

import pytest
import torch

from clrun.images.transforms import Transform
from clrun.streams.experience import Benchmark
from clrun.streams.inputs import input_statistics


def benchmark(transform: Transform | None, rows: int = 300) -> Benchmark:
    x = torch.zeros(rows, 2, 2, 2, dtype=torch.uint8)
    x[:, 1] = torch.tensor([0, 255], dtype=torch.uint8)
    part = (x, torch.zeros(rows, dtype=torch.int64))
    return Benchmark.of_arrays([part, part], [part, part], transform=transform)


def test_statistics_are_those_of_each_channel_after_the_transform():
    found = input_statistics(benchmark(Transform((0.5, 0.5), (0.5, 0.25), "none")))

    assert found == {"mean": [-1.0, 0.0], "std": [0.0, 2.0]}


@pytest.mark.parametrize("rows", [1, 2, 255, 257])
def test_any_number_of_images_is_enough(rows):
    assert input_statistics(benchmark(None, rows)) == {"mean": [0.0, 0.5], "std": [0.0, 0.5]}
