"""Memory that clrun needs to build the data cache and to train a model over it.

Runs the command line twice on generated images in class folders. Before the second run the bytes
of all image files become zeros: a start that opened an image would fail. This process stays small,
since a child's peak begins with its parent's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sides.generated import blank, write_images

WORDS = ["strategy=naive", "strategy.train_epochs=1", "model=cnn", "model.channels=[16,32,64]"]
WORDS += ["benchmark=folder", "benchmark.data_root=photos", "benchmark.n_experiences=1"]
CLASSES, TEST_IMAGES = 10, 500


def measure(case: dict[str, Any]) -> dict[str, Any]:
    """Peaks of a cold and a warm start, above an interpreter with torch; scores must be equal."""
    clrun = ["-m", "clrun", "device=cpu", *WORDS]
    with TemporaryDirectory() as name:
        folder = Path(name)
        files = image_files(folder / "photos", case["images"])
        write_images(files, case["side_px"])
        base = peak_mb(["-c", "import torch"], folder)
        cold_mb, scored = peak_mb(clrun, folder) - base, accuracies(folder)
        blank(files)
        warm_mb = peak_mb(clrun, folder) - base
        assert accuracies(folder) == scored, "the second run scored otherwise"
    return {"cold_mb": cold_mb, "warm_mb": warm_mb, "torch_mb": base}


def peak_mb(words: list[str], folder: Path) -> float:
    """Run Python in the folder; return its most resident memory."""
    environment = {**os.environ, "CLRUN_CACHE": str(folder / "cache")}
    with (folder / "output").open("w") as output:
        process = subprocess.Popen(
            [sys.executable, *words], cwd=folder, env=environment, stdout=output, stderr=output
        )
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit((folder / "output").read_text())
    return usage.ru_maxrss * 1024 / 1e6


def accuracies(folder: Path) -> Any:
    """The accuracies of the newest run."""
    return json.loads((folder / "outputs/latest/results.json").read_text())["accuracy_matrix"]


def image_files(photos: Path, count: int) -> list[Path]:
    """Names of `count` images to train on and some to test on, in class folders."""
    return [
        photos / ("train" if k < count else "test") / f"class_{k % CLASSES}" / f"{k}.png"
        for k in range(count + TEST_IMAGES)
    ]
