"""scikit-learn's digits: 1,797 real handwritten digits of 8x8, from the installed package."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from clrun.images.download import Progress
from clrun.images.patterns import Patterns, occurrence
from clrun.sources.source import Keyless, SourceData

TEST_EVERY = 5
FILE = Path("datasets", "data", "digits.csv.gz")
"""Inside scikit-learn: 64 pixels and the label on each line."""


class Digits(Keyless):
    """Every fifth image of each digit, in scikit-learn's order, is for testing; no seed in it.

    The data are the test part of the UCI set "Optical Recognition of Handwritten Digits"
    (https://archive.ics.uci.edu/dataset/80), so its 13 writers occur on both sides of our split.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        num_classes: ClassVar[int] = 10

    name = "digits"
    channels, height, width = 1, 8, 8
    class_names = tuple("0123456789")
    mean, std = (0.3052,), (0.3760,)  # of our training images; a test computes them again

    def check(self, root: Path, *, download: bool) -> None:
        """Nothing can be missing: the images are part of scikit-learn."""

    def load(
        self, root: Path, *, download: bool, on_progress: Progress | None = None
    ) -> SourceData:
        """1,442 training and 355 test images, whatever `root` is; 0..16 becomes 0..255."""
        table = _table()
        x = table[:, :-1].mul(255 / 16).round().to(torch.uint8).view(-1, 1, 8, 8)
        y = table[:, -1].to(torch.int64)
        testing = occurrence(y) % TEST_EVERY == TEST_EVERY - 1
        return SourceData(Patterns(x[~testing], y[~testing]), Patterns(x[testing], y[testing]))


def _table() -> torch.Tensor:
    """Pixels 0..16, and the label last. [1797, 65] float64

    Read without importing scikit-learn, which takes as long as the rest of a short run.
    """
    package = find_spec("sklearn")
    for place in (package.submodule_search_locations or []) if package else []:
        path = Path(place) / FILE
        if path.is_file():
            return _read(path)
    from sklearn.datasets import load_digits  # it knows where else they are

    images, labels = load_digits(return_X_y=True)
    return torch.from_numpy(np.column_stack([images, labels]))


@cache  # of a megabyte, for those that train one run after another in a process
def _read(path: Path) -> torch.Tensor:
    with gzip.open(path, "rt", encoding="ascii") as file:
        return torch.from_numpy(np.loadtxt(file, delimiter=","))
