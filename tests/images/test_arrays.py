from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from clrun.errors import ConfigError
from clrun.images.arrays import patterns_of_arrays

IMAGES = np.zeros((3, 2, 4, 5), np.uint8)


def test_arrays_become_patterns_without_a_copy_of_the_images() -> None:
    x, y = patterns_of_arrays(IMAGES, np.array([2, 0, 1], np.int8), "train")

    assert x.shape == (3, 2, 4, 5)
    assert isinstance(x, torch.Tensor)
    assert np.shares_memory(x.numpy(), IMAGES)
    assert y.tolist() == [2, 0, 1]
    assert y.dtype == torch.int64


def test_grey_images_get_their_channel() -> None:
    assert patterns_of_arrays(IMAGES[:, 0], [0, 1, 2], "train").x.shape == (3, 1, 4, 5)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (IMAGES.astype(np.float32), [0, 1, 2], r"train\[1\]: images are float32\. Give uint8"),
        (IMAGES[0, 0], [0, 1, 2, 3], r"images are \[4, 5\]\. Give \[N, channels"),
        (IMAGES, [0, 1], r"labels are \[2\] for 3 images"),
        (IMAGES, [[0], [1], [2]], r"labels are \[3, 1\] for 3 images"),
        (IMAGES, [0.0, 1.0, 2.0], "labels must be whole numbers"),
        (IMAGES, [True, False, True], "labels must be whole numbers"),
        (IMAGES[:0], [], "labels must be whole numbers, at least one"),
        (IMAGES, [0, -1, 2], r"label -1\. Labels are 0, 1, 2"),
    ],
)
def test_what_does_not_fit_is_named(x: Any, y: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        patterns_of_arrays(x, np.asarray(y), "train[1]")
