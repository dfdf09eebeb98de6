"""A trained model written as one file, once what is in it was seen to answer as the model does."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from clrun.disk.files import write_bytes
from clrun.export.agreement import Difference, compared, random_images
from clrun.export.facts import facts_of
from clrun.export.formats import FORMATS, Answers, quiet
from clrun.export.whole import Whole
from clrun.runner.evaluating import scored_images
from clrun.runner.loading import TrainedModel

MOST_IMAGES = 256
"""How many of the rows that the run was scored on are there to compare answers on."""
MEASURED_SECONDS, FEWEST_TIMES = 0.3, 5


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was written, and what was seen of it."""

    path: Path
    runtime: str
    size: int
    """bytes"""
    images: dict[str, int]
    """kind of the images that were compared -> how many"""
    difference: Difference
    milliseconds: float
    """of one image by itself on this machine: the median of some"""


def export(trained: TrainedModel, path: Path, kind: str = "onnx") -> Exported:
    """Write the model with all that is before and behind it, in one of the `FORMATS`.

    Raises:
        ClrunError: it cannot be had in this format, or answers otherwise there.
        StorageError: the file cannot be written.
    """
    chosen = FORMATS[kind]
    with quiet(kind):
        content = chosen.made(Whole(trained), facts_of(trained))
        answers = chosen.opened(content)
        images = _images(trained)
        difference = compared(trained, answers, images, str(path))
        milliseconds = _milliseconds(answers, images["random"][:1])
    write_bytes(path, content)
    return Exported(
        path=path,
        runtime=chosen.runtime,
        size=len(content),
        images={name: len(x) for name, x in images.items()},
        difference=difference,
        milliseconds=milliseconds,
    )


def _images(trained: TrainedModel) -> dict[str, Tensor]:
    """Images to compare answers on, by their kind."""
    images = {"random": random_images(trained)}
    scored = scored_images(trained, MOST_IMAGES)
    if scored is not None and len(scored):
        images["test"] = scored
    return images


def _milliseconds(answers: Answers, image: Tensor) -> float:
    taken: list[float] = []
    until = time.perf_counter() + MEASURED_SECONDS
    while len(taken) < FEWEST_TIMES or time.perf_counter() < until:
        start = time.perf_counter()
        answers(image)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken) * 1000
