"""The data cache against memory and against a DataLoader, and the memory that it needs.

    python benchmarks/image_cache.py [--images 20000] [--side 128] [--loader-images 2560]

Prints peak resident memory above PyTorch's own for building a cache of generated images and for one
epoch over it; how fast batches of 128 come from it as a share of the same gather from a tensor in
memory; and how many times faster that is than a DataLoader with two workers over the same files.
Ratios are medians of interleaved repeats; the gather is timed in CPU seconds, the loader by the
clock, since its work is in other processes.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from generated import write_images
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms.functional import pil_to_tensor

from clrun.images.cache import cached_images
from clrun.sources.core50_images import decode_png

BATCH, REPEATS = 128, 5


class Files(Dataset[Tensor]):
    """Decodes a file each time it is asked for, as image folders usually do."""

    def __init__(self, files: list[Path]) -> None:
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Tensor:
        return pil_to_tensor(Image.open(self.files[index]).convert("RGB"))


def peak_mb() -> float:
    """Most resident memory so far, mapped file pages included."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1e3
    raise RuntimeError("needs Linux's /proc/self/status")


def seconds(work: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    work()
    return clock() - start


def gather(rows: Tensor, batches: Iterable[Tensor]) -> None:
    for batch in batches:
        rows.index_select(0, batch)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--loader-images", type=int, default=2_560)
    args = parser.parse_args()
    torch.set_num_threads(1)
    shape = (3, args.side, args.side)
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["CLRUN_CACHE"] = f"{temporary}/cache"
        files = [Path(temporary) / f"{k}.png" for k in range(args.images)]
        write_images(files, args.side)

        def decode(path: Path) -> np.ndarray:
            with path.open("rb") as file:
                return decode_png(file, path.name, args.side)

        before = peak_mb()
        building = seconds(lambda: cached_images("test", files, shape, decode), time.perf_counter)
        print(f"built {args.images} images in {building:.1f} s: {peak_mb() - before:.0f} MB more")
        rows = cached_images("test", files, shape, decode)
        order = torch.randperm(args.images, generator=torch.Generator().manual_seed(0))
        gather(rows, order.split(BATCH))  # type: ignore[arg-type]
        print(
            f"one epoch over {rows.nbytes / 1e6:.0f} MB of rows: {peak_mb() - before:.0f} MB more"
        )
        held = rows.read()
        loader = DataLoader(Files(files[: args.loader_images]), BATCH, num_workers=2)
        some = order[: args.loader_images]
        ratios, times = [], []
        for _ in range(REPEATS):
            from_memory = seconds(lambda: gather(held, order.split(BATCH)), time.process_time)
            from_cache = seconds(
                lambda: gather(rows, order.split(BATCH)),  # type: ignore[arg-type]
                time.process_time,
            )
            ratios.append(from_memory / from_cache)
            by_loader = seconds(lambda: list(loader), time.perf_counter)
            again = seconds(
                lambda: gather(rows, some.split(BATCH)),  # type: ignore[arg-type]
                time.perf_counter,
            )
            times.append(by_loader / again)
        print(f"speed of a gather, as a share of memory's: {shown(ratios)}")
        print(f"times faster than a DataLoader with 2 workers: {shown(times)}")


def shown(values: list[float]) -> str:
    listed = ", ".join(f"{value:.2f}" for value in values)
    return f"{statistics.median(values):.2f} (of {listed})"


if __name__ == "__main__":
    main()
