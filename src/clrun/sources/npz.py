"""Arrays in an .npz file: x and y, optional x_test and y_test, task and task_test.

`npz_names` says by which other names they may go.

Nothing in the file is ever unpickled. Until `load` only headers and labels are read.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from math import isqrt
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clrun.config.bounds import FilePath, Fraction, Share
from clrun.images.download import Progress
from clrun.images.image_files import ImageShape
from clrun.images.patterns import Patterns
from clrun.images.unread_rows import UnreadRows
from clrun.sources.class_names import BadRows
from clrun.sources.copies import notes_on_copies
from clrun.sources.labelled_rows import (
    LabelledRows,
    numbered_classes,
    numbered_experiences,
    one_line_errors,
    own_root,
    with_test_rows,
)
from clrun.sources.npz_file import Header, member_names, opened, read_array, read_header
from clrun.sources.npz_names import Kind, images_among, meanings
from clrun.sources.sides import Side
from clrun.sources.source import SourceData
from clrun.sources.statistics import Statistics, channel_statistics, known
from clrun.sources.value_range import check_depth, check_not_zeros_and_ones

ORDER: tuple[Side, ...] = ("train", "test", "validation")


class NpzArrays:
    """Images [N, H, W], [N, H, W, C] or [N, C, H, W] with 1 or 3 channels, and a label for each.

    8 bits as they are, 16 bits divided by 257, bool as black and white. Refused are floats, of
    which it is not known which value is white, and values that do not fit their type
    (`value_range`). Where both ends could be channels, the last axis is.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        data_root: FilePath | None
        """the file"""
        test_fraction: Share | None
        validation_fraction: Fraction

    name = "npz"

    def __init__(self, config: Config) -> None:
        self.root = own_root(config.data_root, "name the file, e.g. benchmark.data_root=photos.npz")
        self.test_fraction = config.test_fraction
        self.validation_fraction = config.validation_fraction
        self._statistics: Statistics | None = None

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.rows.class_names

    @property
    def channels(self) -> int:
        return self._shape.channels

    @property
    def height(self) -> int:
        return self._shape.height

    @property
    def width(self) -> int:
        return self._shape.width

    @property
    def mean(self) -> tuple[float, ...]:
        return known(self._statistics)[0]

    @property
    def std(self) -> tuple[float, ...]:
        return known(self._statistics)[1]

    def check(self, root: Path, *, download: bool) -> None:
        """Raise ConfigError for whatever headers and labels show to be wrong."""
        _ = self._shape, self.rows

    def load(
        self, root: Path, *, download: bool, on_progress: Progress | None = None
    ) -> SourceData:
        """Read all images into memory.

        Raises:
            ConfigError: also where no image has a value that fits the arrays' type.
        """
        rows = self.rows
        with one_line_errors(self.root), opened(self.root) as archive:
            names = _Members(archive).of("images")
            arrays = {name: read_array(archive, name) for name in names}
            _check_depth(arrays)
        places = [f"{name}[{k}]" for name, array in arrays.items() for k in range(len(array))]
        x = _joined(arrays, self._shape)
        sides = {name: rows.side == k for k, name in enumerate(("training", "test", "validation"))}
        train, test, held = (Patterns(_taken(x, side), rows.y[side]) for side in sides.values())
        self._statistics = channel_statistics(train.x)
        with one_line_errors(self.root):
            way_out = f"Save {names[0]}.astype(bool)"
            check_not_zeros_and_ones(x, self._statistics, way_out)
        notes = notes_on_copies(
            train.x,
            {"test": test.x, "validation": held.x},
            lambda side, k: places[int(sides[side].nonzero()[k])],
        )
        return SourceData(train, test, held if rows.has_validation else None, notes=notes)

    def outline(self) -> SourceData:
        """The rows without their images, of which only headers are read.

        Raises:
            ConfigError: see `check`.
        """
        rows = self.rows
        x = UnreadRows(len(rows.y), tuple(self._shape), str(self.root), on_disk=False)
        sides = [Patterns(x[side], rows.y[side]) for side in map(rows.side.eq, range(3))]
        train, test, held = sides
        return SourceData(train, test, held if rows.has_validation else None)

    @cached_property
    def rows(self) -> LabelledRows:
        """Labels, sides and experiences of the images, in `ORDER`.

        Without images to test on, those to validate on are for it.
        """
        with one_line_errors(self.root), opened(self.root) as archive:
            members = _Members(archive)
            return _rows(members, self.test_fraction, self.validation_fraction).check()

    @cached_property
    def _shape(self) -> ImageShape:
        with one_line_errors(self.root), opened(self.root) as archive:
            members = _Members(archive)
            first, *others = members.of("images")
            shape = _image_shape(first, members.headers[first])
            for name in others:
                if _image_shape(name, members.headers[name]) != shape:
                    raise BadRows(
                        f"{first} is {members.headers[first].shape} and {name} "
                        f"{members.headers[name].shape}. Save images of one size"
                    )
            return shape


def images_in(path: Path) -> dict[str, Tensor]:
    """The images [N, C, H, W] uint8 of each array of images in a file, labels or none beside it.

    Raises:
        BadRows: there is none, or one that is refused in training too.
        OSError: the file cannot be read.
    """
    with opened(path) as archive:
        names = images_among(member_names(archive))
        shapes = {name: _image_shape(name, read_header(archive, name)) for name in names}
        arrays = {name: read_array(archive, name) for name in names}
    _check_depth(arrays)
    return {name: _pixels(array, shapes[name]) for name, array in arrays.items()}


class _Members:
    """The arrays of the file that have a meaning, and their headers.

    Raises:
        BadRows: one is missing, holds Python objects, or has not as many rows as its images.
    """

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self.archive = archive
        self.names = meanings(member_names(archive))
        self.headers = {name: read_header(archive, name) for name in self.names.values()}
        for (_, side), name in self.names.items():
            images = self.names["images", side]
            shape, wanted = self.headers[name].shape, self.headers[images].shape
            if not shape or shape[0] != wanted[0]:
                raise BadRows(
                    f"{name} has shape {shape}, and {images} {wanted}. Save as many rows of both"
                )

    def of(self, kind: Kind) -> list[str]:
        """The arrays of a kind, by side: those to train on first."""
        return [self.names[kind, side] for side in ORDER if (kind, side) in self.names]

    def labels(self) -> list[list[str]]:
        """The class of each image as text, by side."""
        return [_labels(read_array(self.archive, name), name) for name in self.of("labels")]

    def tasks(self, sizes: Sequence[int]) -> list[Tensor]:
        """The experience of each image, by side; -1 for all of a side that does not say."""
        sides = [side for side in ORDER if ("images", side) in self.names]
        found = [torch.full((size,), -1) for size in sizes]
        for k, side in enumerate(sides):
            if name := self.names.get(("task", side)):
                found[k] = _tasks(read_array(self.archive, name), name)
        return found


def _rows(
    members: _Members, test_fraction: float | None, validation_fraction: float
) -> LabelledRows:
    shares: list[tuple[Side, str, float | None, str]] = [
        ("test", "test_fraction", test_fraction, "null"),
        ("validation", "validation_fraction", validation_fraction, "0"),
    ]
    for side, key, value, none in shares:
        images = members.names.get(("images", side))
        if images is not None and value:
            raise BadRows(
                f"benchmark.{key}={value} is given, and there is an array {images}. "
                f"Use benchmark.{key}={none}, or leave it out"
            )
    labels = members.labels()
    sizes = [len(of_side) for of_side in labels]
    class_names, y = numbered_classes(list(chain.from_iterable(labels)))
    held_out = torch.arange(len(y)) >= sizes[0]
    is_test = held_out & (torch.arange(len(y)) < sum(sizes[:2]))
    rows = LabelledRows(class_names, y, held_out)
    if ("task", "train") in members.names:
        given = torch.cat(members.tasks(sizes))
        rows = replace(rows, experience=numbered_experiences(given, rows))
    if not held_out.any():
        return with_test_rows(rows, test_fraction)
    is_validation = held_out & ~is_test if len(sizes) == len(ORDER) else None
    return replace(rows, is_test=is_test, is_validation=is_validation)


def _image_shape(name: str, header: Header) -> ImageShape:
    if header.dtype.kind == "f":
        raise BadRows(
            f"{name} is {header.dtype}, and which value is white is not known. Save 8 bits, e.g. "
            "(x * 255).round().astype('uint8')"
        )
    if header.dtype.newbyteorder("=") not in (np.uint8, np.uint16, np.bool_):
        raise BadRows(
            f"{name} is {header.dtype}. Save uint8, uint16 or bool, e.g. {name}.astype('uint8')"
        )
    match header.shape[1:]:
        case (height, width):
            return ImageShape(1, height, width)
        case (height, width, 1 | 3 as channels):
            return ImageShape(channels, height, width)
        case (1 | 3 as channels, height, width):
            return ImageShape(channels, height, width)
    raise BadRows(
        f"{name} has shape {header.shape}. Use [N, H, W], [N, H, W, C] or [N, C, H, W] "
        f"with 1 or 3 channels{_reshaping(name, header.shape)}"
    )


def _reshaping(name: str, shape: tuple[int, ...]) -> str:
    """The call that may be meant, where one suggests itself."""
    match shape[1:]:
        case (size,) if (side := isqrt(size)) ** 2 == size:
            return f", e.g. {name}.reshape(-1, {side}, {side})"
        case (size,) if 3 * (side := isqrt(size // 3)) ** 2 == size:
            return f", e.g. {name}.reshape(-1, {side}, {side}, 3)"
        case (_, _, 4):
            return f", e.g. {name}[..., :3]"
        case (4, _, _):
            return f", e.g. {name}[:, :3]"
    return ""


def _check_depth(arrays: dict[str, NDArray[Any]]) -> None:
    """Raise BadRows if 16-bit images hold small values alone, those of all sides together."""
    deep = {name: int(x.max()) for name, x in arrays.items() if x.dtype.itemsize == 2}
    if deep:
        check_depth(f"{next(iter(deep))} is uint16", max(deep.values()), is_array=True)


def _joined(arrays: dict[str, NDArray[Any]], shape: ImageShape) -> Tensor:
    """The images of all arrays, which are let go of one by one. [N, C, H, W] uint8"""
    parts = [_pixels(arrays.pop(name), shape) for name in list(arrays)]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _taken(x: Tensor, chosen: Tensor) -> Tensor:
    """The rows where `chosen` [N] is true; a view, if they lie side by side."""
    places = chosen.nonzero().flatten()
    first, last = (int(places[0]), int(places[-1])) if len(places) else (0, -1)
    is_run = last - first + 1 == len(places)
    return x[first : last + 1] if is_run else x.index_select(0, places)


def _pixels(x: NDArray[Any], shape: ImageShape) -> Tensor:
    """[N, C, H, W] uint8"""
    if x.dtype.itemsize == 2:  # uint16, in either order of bytes
        x = ((x.astype(np.uint32) + 128) // 257).astype(np.uint8)
    elif x.dtype == np.bool_:
        x = x.astype(np.uint8) * 255
    if x.ndim == 3:
        x = x[:, None]
    elif x.shape[1:] == (shape.height, shape.width, shape.channels):
        x = x.transpose(0, 3, 1, 2)
    return torch.from_numpy(np.ascontiguousarray(x))


def _labels(values: NDArray[Any], name: str) -> list[str]:
    """Whole numbers or text, one for each image, as text.

    [N], [N, 1], or [N, K] with a single 1 in each row, which is the class.
    """
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 2 and values.dtype.kind in "iubf":
        values = _one_hot(values, name)
    if values.ndim != 1:
        raise BadRows(f"{name} has shape {values.shape}. Save one label for each image, [N]")
    if values.dtype.kind == "f":
        values = _whole(values, name)
    if values.dtype.kind == "S":
        values = _text(values, name)
    if values.dtype.kind not in "iubU":
        raise BadRows(f"{name} is {values.dtype}. Save integers or text")
    is_bool = values.dtype.kind == "b"
    return [str(value) for value in values.astype(int if is_bool else values.dtype).tolist()]


def _one_hot(values: NDArray[Any], name: str) -> NDArray[Any]:
    if not (((values == 0) | (values == 1)).all() and (values.sum(1) == 1).all()):
        raise BadRows(
            f"{name} has shape {values.shape}, and not a single 1 in each row. "
            f"Save one label for each image, e.g. {name}.argmax(1)"
        )
    found: NDArray[Any] = values.argmax(1)
    return found


def _whole(values: NDArray[Any], name: str) -> NDArray[Any]:
    odd = values[~(np.isfinite(values) & (values == np.round(values)))]
    if len(odd):
        hint = "a NaN" if np.isnan(odd).any() else str(odd[0])
        raise BadRows(
            f"{name} has {hint} where whole numbers or names are needed. "
            f"Save integers, e.g. {name}.astype('int64')"
        )
    return values.astype(np.int64)


def _text(values: NDArray[Any], name: str) -> NDArray[Any]:
    try:
        return np.char.decode(values, "utf-8")
    except UnicodeDecodeError as error:
        raise BadRows(f"{name} holds bytes that are not UTF-8. Save text") from error


def _tasks(values: NDArray[Any], name: str) -> Tensor:
    if values.ndim != 1 or values.dtype.kind not in "iu":
        raise BadRows(
            f"{name} is {values.dtype} of shape {values.shape}. "
            "Save one whole number for each image"
        )
    values = values.astype(np.int64)
    if values.min() < 0:
        raise BadRows(f"{name} has {values.min()}. Number experiences from 0 on")
    return torch.from_numpy(values)
