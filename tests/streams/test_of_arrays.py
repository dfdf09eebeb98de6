from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from clrun.errors import ConfigError
from clrun.images.transforms import Transform
from clrun.streams.experience import Benchmark


def pair(labels: list[int], side: int = 4) -> tuple[np.ndarray[Any, Any], list[int]]:
    """Images that are as bright as their label."""
    return np.ones((len(labels), side, side), np.uint8) * np.array(labels)[:, None, None].astype(
        np.uint8
    ), labels


def test_each_pair_is_an_experience() -> None:
    benchmark = Benchmark.of_arrays([pair([2, 0, 2]), pair([1])], [pair([0, 2]), pair([1, 1])])

    assert [e.classes for e in benchmark] == [(0, 2), (1,)]
    assert [e.index for e in benchmark] == [0, 1]
    assert torch.equal(benchmark.experiences[0].test.y, torch.tensor([0, 2]))
    assert benchmark.class_names == ("0", "1", "2")
    shape = benchmark.shape
    assert (shape.channels, shape.height, shape.width) == (1, 4, 4)
    assert (shape.num_classes, shape.num_experiences) == (3, 2)
    assert torch.equal(
        benchmark.transform.evaluation(torch.full((1, 1, 4, 4), 255, dtype=torch.uint8)),
        torch.ones(1, 1, 4, 4),
    )


def test_names_and_a_transform_are_taken() -> None:
    transform = Transform((0.5,), (0.5,), "flip")

    benchmark = Benchmark.of_arrays(
        [pair([0])], [pair([0])], name="mine", class_names=("cat", "dog"), transform=transform
    )

    assert (benchmark.name, benchmark.class_names) == ("mine", ("cat", "dog"))
    assert benchmark.shape.num_classes == 2
    assert benchmark.transform is transform


@pytest.mark.parametrize(
    ("train", "test", "names", "message"),
    [
        ([], [], None, r"train, test: 0 and 0 pairs"),
        ([pair([0])], [pair([0]), pair([1])], None, r"train, test: 1 and 2 pairs"),
        ([pair([0])], [pair([0], side=5)], None, r"images: of 2 sizes, \[\(1, 4, 4\), \(1, 5, 5\)"),
        ([pair([0])], [pair([2])], ("a", "b"), r"labels: up to 2, and there are 2 class names"),
        ([pair([0]), (np.zeros((1, 4, 4)), [0])], [pair([0])] * 2, None, r"train\[1\]: images are"),
    ],
)
def test_what_does_not_fit_is_named(train: Any, test: Any, names: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Benchmark.of_arrays(train, test, class_names=names)
