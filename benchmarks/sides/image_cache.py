"""The cache of decoded images beside a tensor in memory and beside a DataLoader over the files."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms.functional import pil_to_tensor

from clrun.images.cache import cached_images
from clrun.sources.core50_images import decode_png
from sides.generated import write_images
from sides.measure import Meter

BATCH, REPEATS, LOADED = 128, 5, 2560


class Files(Dataset[Tensor]):
    """Decodes a file each time it is asked for, as image folders usually do."""

    def __init__(self, files: list[Path]) -> None:
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Tensor:
        return pil_to_tensor(Image.open(self.files[index]).convert("RGB"))


def measure(case: dict[str, Any]) -> dict[str, Any]:
    """Build the cache, read an epoch from it, then compare minibatches from all three.

    The gather is timed in CPU seconds, the loader by the clock: its work is in other processes.
    """
    side, count = case["side_px"], case["images"]

    def decode(path: Path) -> np.ndarray:
        with path.open("rb") as file:
            return decode_png(file, path.name, side)

    with TemporaryDirectory() as folder:
        os.environ["CLRUN_CACHE"] = f"{folder}/cache"
        files = [Path(folder) / f"{k}.png" for k in range(count)]
        write_images(files, side)
        meter = Meter()
        with meter.phase("build"):
            rows = cached_images("bench", files, (3, side, side), decode)
        build_mb = meter.peak_mb()
        order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
        gather(rows, order)
        found = {**meter.report(), "build_mb": build_mb, "epoch_mb": meter.peak_mb()}
        held, loader = rows.read(), DataLoader(Files(files[:LOADED]), BATCH, num_workers=2)
        some, cpu, wall = order[:LOADED], time.process_time, time.perf_counter
        from_memory, from_files = [], []
        for _ in range(REPEATS):
            from_memory.append(ratio(lambda: gather(held, order), lambda: gather(rows, order), cpu))
            from_files.append(ratio(lambda: list(loader), lambda: gather(rows, some), wall))
    ratios = {"over_memory": from_memory, "over_loader": from_files}
    return found | {name: statistics.median(values) for name, values in ratios.items()}


def gather(rows: Any, order: Tensor) -> None:
    """Read minibatches of the rows in this order."""
    for batch in order.split(BATCH):
        rows.index_select(0, batch)


def ratio(
    other: Callable[[], object], ours: Callable[[], object], clock: Callable[[], float]
) -> float:
    """The other's time over ours."""
    times = [clock()]
    for work in (other, ours):
        work()
        times.append(clock())
    return (times[1] - times[0]) / (times[2] - times[1])
