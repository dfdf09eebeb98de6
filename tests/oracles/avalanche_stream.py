"""Arrays as a benchmark of Avalanche, through the same wrappers as its classic ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from avalanche.benchmarks.scenarios.deprecated.generators import nc_benchmark
from PIL import Image
from torch.utils.data import Dataset
from torchvision.transforms import Compose, Normalize, ToTensor

from oracles.by_hand import Rows


class PilImages(Dataset):
    """Like torchvision's data sets: PIL images and integer classes."""

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        gray = x.shape[1] == 1
        self.images = np.ascontiguousarray(x[:, 0] if gray else x.transpose(0, 2, 3, 1))
        self.targets = y.tolist()

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        return Image.fromarray(self.images[index]), self.targets[index]


def stream(case: dict[str, Any], rows: Sequence[Rows]) -> Any:
    """The benchmark of experiences whose classes are their own, in ascending order."""
    data = case["data"]
    parts = [[r.train_x for r in rows], [r.train_y for r in rows]]
    parts += [[r.test_x for r in rows], [r.test_y for r in rows]]
    train_x, train_y, test_x, test_y = (np.concatenate(part) for part in parts)
    channels = data["channels"]
    to_model = Compose(
        [ToTensor(), Normalize((case["mean"],) * channels, (case["std"],) * channels)]
    )
    return nc_benchmark(
        PilImages(train_x, train_y),
        PilImages(test_x, test_y),
        n_experiences=data["experiences"],
        task_labels=False,
        fixed_class_order=sorted(set(train_y.tolist())),
        train_transform=to_model,
        eval_transform=to_model,
    )
