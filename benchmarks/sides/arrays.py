"""The arrays of a case as every side reads them: files made by the program that started it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from oracles.by_hand import Rows


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


def random_features(rows: int) -> Tensor:
    """Features [rows, 512] as a ReLU makes them, the same for all sides."""
    return torch.randn(rows, 512, generator=torch.Generator().manual_seed(0)).relu()
