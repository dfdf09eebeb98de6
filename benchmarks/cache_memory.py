"""What clrun needs in memory to build the data cache and train a model over it.

    python benchmarks/cache_memory.py [--images 20000] [--side 128] [clrun's words ...]

Runs `clrun` on a cold cache of generated images in ten class folders, one epoch of a small
convolutional network unless words say otherwise, and prints its peak resident memory above that of
an interpreter with torch loaded. Then the bytes of all image files are replaced by zeros and it
runs again: a start that opened an image would fail, and results must be the same. Ten minutes on
one core. Linux and macOS.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from generated import blank, write_images

WORDS = ["strategy=naive", "strategy.train_epochs=1", "model=cnn", "model.channels=[16,32,64]"]
CLASSES, TEST_IMAGES = 10, 500
UNIT = 1 if sys.platform == "darwin" else 1024
"""Of ru_maxrss. This process stays small, since a child's begins with its parent's."""


def peak_mb(command: list[str], folder: Path) -> float:
    """Run a command in the folder; its most resident memory."""
    environment = {**os.environ, "CLRUN_CACHE": str(folder / "cache")}
    with (folder / "output").open("w") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=output
        )
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit((folder / "output").read_text())
    return usage.ru_maxrss * UNIT / 1e6


def accuracies(folder: Path) -> Any:
    """What the newest run scored."""
    return json.loads((folder / "outputs/latest/results.json").read_text())["accuracy_matrix"]


def image_files(photos: Path, count: int) -> list[Path]:
    """Names of `count` images to train on and some to test on, in class folders."""
    return [
        photos / ("train" if k < count else "test") / f"class_{k % CLASSES}" / f"{k}.png"
        for k in range(count + TEST_IMAGES)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("words", nargs="*", default=WORDS)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        files = image_files(folder / "photos", args.images)
        write_images(files, args.side)
        clrun = [sys.executable, "-m", "clrun", "benchmark=folder", "device=cpu", *args.words]
        clrun += ["benchmark.data_root=photos", "benchmark.n_experiences=1"]
        base, scored = peak_mb([sys.executable, "-c", "import torch"], folder), []
        for name in ("cold cache", "warm cache, images blanked"):
            start = time.perf_counter()
            above, spent = peak_mb(clrun, folder) - base, time.perf_counter() - start
            print(f"{name}: {above:.0f} MB above torch's {base:.0f}, {spent:.0f} s", flush=True)
            scored.append(accuracies(folder))
            blank(files)
    if scored[0] != scored[1]:
        raise SystemExit(f"the second run scored {scored[1]}, the first {scored[0]}")


if __name__ == "__main__":
    main()
