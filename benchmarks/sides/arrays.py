"""The arrays of a case as every side reads them: files made by the program that started it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Rows(NamedTuple):
    """One experience's images [N, C, H, W] uint8 and classes [N] int64."""

    train_x: np.ndarray
    train_y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray


def experiences(case: dict[str, Any]) -> list[Rows]:
    """The stream, experience by experience."""
    with np.load(case["data_file"]) as file:
        arrays = {name: file[name] for name in file.files}
    count = case["data"]["experiences"]
    return [Rows(*(arrays[f"{field}{i}"] for field in Rows._fields)) for i in range(count)]


def weights(case: dict[str, Any]) -> dict[str, np.ndarray]:
    """Initial weights by clrun's names, the same for all sides."""
    with np.load(case["weights_file"]) as file:
        return {name: file[name] for name in file.files}
