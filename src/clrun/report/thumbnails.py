"""Pictures of what a memory holds, read from the run's newest saved state."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clrun.report.png import data_address, shrunk, strip
from clrun.report.safetensors_file import TensorFile

EACH = 8
"""Pictures of a class."""
MOST_CLASSES = 40
SIDE = 48
"""Pixels of a picture's longer side at most."""
MOST_BYTES = 250_000
"""All of them as they stand in a page: fewer of each class are shown where they are large."""

MEMORY = "state/strategy/memory"


class Thumbnails(NamedTuple):
    """Pictures of one class that the memory holds, side by side."""

    name: str
    address: str
    width: int
    height: int
    images: int
    """how many are in it"""
    held: int
    """rows of the class in the memory"""
    scale: int
    """as how many pixels of a screen each of its pixels is shown"""


class Shown(NamedTuple):
    """The pictures of a memory."""

    pictures: list[Thumbnails]
    after: int
    """experiences that the memory has rows of: a saved state may be older than the run's end"""
    reason: str
    """why there are none, in a line; empty where there are"""


def thumbnails(folder: Path, class_names: Sequence[str]) -> Shown:
    """What the memory held when the run's newest state was saved, by class."""
    states = sorted((folder / "checkpoints").glob("state-*.safetensors"))
    if not states:
        return _none("no saved state of the run is there any more.")
    try:
        file = TensorFile(states[-1])
        images = file.shape(f"{MEMORY}/x")
        if images is None or images[0] != "U8" or len(images[1]) != 4:
            return _none("its rows are no images, but what the model makes of them.")
        if not images[1][0]:
            return _none("it held nothing yet when the newest state was saved.")
        if images[1][1] not in (1, 3):
            return _none(f"its images have {images[1][1]} channels.")
        return _by_class(file, images[1], class_names)
    except (OSError, ValueError, LookupError, TypeError) as error:
        return _none(f"{states[-1].name} cannot be read ({error}).")


def _none(reason: str) -> Shown:
    return Shown([], 0, f"There are no pictures of what it holds: {reason}")


def _by_class(file: TensorFile, shape: tuple[int, ...], class_names: Sequence[str]) -> Shown:
    labels = file.rows(f"{MEMORY}/y")
    classes = sorted({int(label) for label in labels})[:MOST_CLASSES]
    side = min(SIDE, max(shape[2:]))
    room = MOST_BYTES / len(classes) / (side * side * shape[1] * 4 / 3)
    each = max(1, min(EACH, int(room)))
    pictures = [_of_class(file, labels, c, each, class_names) for c in classes]
    return Shown(pictures, int(file.rows(f"{MEMORY}/experience").max()) + 1, "")


def _of_class(
    file: TensorFile, labels: NDArray[Any], c: int, each: int, class_names: Sequence[str]
) -> Thumbnails:
    own = np.flatnonzero(labels == c)
    images = shrunk(file.rows(f"{MEMORY}/x", own[:each].tolist()), SIDE)
    pixels = strip(images)
    return Thumbnails(
        name=class_names[c] if c < len(class_names) else str(c),
        address=data_address(pixels),
        width=pixels.shape[1],
        height=pixels.shape[0],
        images=len(images),
        held=len(own),
        scale=max(1, round(32 / pixels.shape[0])),
    )
