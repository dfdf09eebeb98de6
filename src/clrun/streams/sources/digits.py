"""scikit-learn's digits: 1,797 real handwritten digits of 8x8, from the installed package."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from clrun.streams.download import Progress
from clrun.streams.experience import Patterns
from clrun.streams.scenarios import occurrence
from clrun.streams.sources.source import SourceData

TEST_EVERY = 5


@dataclass(frozen=True)
class Digits:
    """Every fifth image of each digit, in scikit-learn's order, is for testing; no seed in it.

    The data are the test part of the UCI set "Optical Recognition of Handwritten Digits"
    (https://archive.ics.uci.edu/dataset/80), so its 13 writers occur on both sides of our split.
    """

    name: str = "digits"
    channels: int = 1
    height: int = 8
    width: int = 8
    class_names: tuple[str, ...] = tuple("0123456789")
    mean: tuple[float, ...] = (0.3052,)  # of our training images; a test computes it again
    std: tuple[float, ...] = (0.3760,)

    def check(self, root: Path, *, download: bool) -> None:
        """Nothing can be missing: the images are part of scikit-learn."""

    def load(
        self, root: Path, *, download: bool, on_progress: Progress | None = None
    ) -> SourceData:
        """1,442 training and 355 test images, whatever `root` is; 0..16 becomes 0..255."""
        from sklearn.datasets import load_digits

        images, labels = load_digits(return_X_y=True)
        x = torch.from_numpy(images).mul(255 / 16).round().to(torch.uint8).view(-1, 1, 8, 8)
        y = torch.from_numpy(labels).to(torch.int64)
        testing = occurrence(y) % TEST_EVERY == TEST_EVERY - 1
        return SourceData(Patterns(x[~testing], y[~testing]), Patterns(x[testing], y[testing]))
