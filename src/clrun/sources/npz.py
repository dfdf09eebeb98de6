"""Arrays in an .npz file: x and y, optional x_test and y_test, task and task_test.

Nothing in the file is ever unpickled. Until `load` only headers and labels are read.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clrun.config.bounds import FilePath, Share
from clrun.images.download import Progress
from clrun.images.image_files import ImageShape
from clrun.images.patterns import Patterns
from clrun.sources.labelled_rows import (
    BadRows,
    LabelledRows,
    numbered_classes,
    numbered_experiences,
    one_line_errors,
    own_root,
    with_test_rows,
)
from clrun.sources.npz_file import Header, member_names, opened, read_array, read_header
from clrun.sources.source import SourceData
from clrun.sources.statistics import Statistics, channel_statistics, known


class NpzArrays:
    """Images [N, H, W], [N, H, W, C] or [N, C, H, W] with 1 or 3 channels, and a label for each.

    8 bits as they are, 16 bits divided by 257, bool as black and white. Floats are refused: which
    value is white is not known. Where both ends could be channels, the last axis is.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        data_root: FilePath | None
        """the file"""
        test_fraction: Share | None

    name = "npz"

    def __init__(self, config: Config) -> None:
        self.root = own_root(config.data_root, "name the file, e.g. benchmark.data_root=photos.npz")
        self.test_fraction = config.test_fraction
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
        """Read all images into memory."""
        rows = self.rows
        with one_line_errors(self.root), opened(self.root) as archive:
            names = [name for name in ("x", "x_test") if name in member_names(archive)]
            arrays = [read_array(archive, name) for name in names]
        x = torch.cat([_pixels(array, self._shape) for array in arrays])
        train, test = ~rows.is_test, rows.is_test
        data = SourceData(Patterns(x[train], rows.y[train]), Patterns(x[test], rows.y[test]))
        self._statistics = channel_statistics(data.train.x)
        return data

    @cached_property
    def rows(self) -> LabelledRows:
        """Labels, sides and experiences of the images: those of x, then those of x_test."""
        with one_line_errors(self.root), opened(self.root) as archive:
            return _rows(archive, _headers(archive), self.test_fraction).check()

    @cached_property
    def _shape(self) -> ImageShape:
        with one_line_errors(self.root), opened(self.root) as archive:
            headers = _headers(archive)
            shape = _image_shape("x", headers["x"])
            if "x_test" in headers and _image_shape("x_test", headers["x_test"]) != shape:
                raise BadRows(
                    f"x is {headers['x'].shape} and x_test {headers['x_test'].shape}. "
                    "Save images of one size"
                )
            return shape


def _rows(
    archive: zipfile.ZipFile, headers: dict[str, Header], test_fraction: float | None
) -> LabelledRows:
    has_test = "x_test" in headers
    if has_test and test_fraction is not None:
        raise BadRows(
            f"benchmark.test_fraction={test_fraction} is given, and there is an array x_test. "
            "Use benchmark.test_fraction=null, or leave x_test out"
        )
    labels = [*_labels(archive, "y", headers)]
    num_train = len(labels)
    if has_test:
        labels += _labels(archive, "y_test", headers)
    class_names, y = numbered_classes(labels)
    rows = LabelledRows(class_names, y, torch.arange(len(y)) >= num_train)
    if "task" in headers:
        given = torch.full((len(y),), -1)
        given[:num_train] = _tasks(archive, "task", headers)
        if "task_test" in headers:
            given[num_train:] = _tasks(archive, "task_test", headers)
        rows = replace(rows, experience=numbered_experiences(given, rows))
    return rows if has_test else with_test_rows(rows, test_fraction)


def _headers(archive: zipfile.ZipFile) -> dict[str, Header]:
    """The header of each array that has a meaning here.

    Raises:
        BadRows: one is missing, holds Python objects, or has not as many rows as its images.
    """
    members = member_names(archive)
    wanted = ["x", "y", *(["x_test", "y_test"] if {"x_test", "y_test"} & set(members) else [])]
    for name in wanted:
        if name not in members:
            raise BadRows(
                f"has arrays {', '.join(members) or 'none'}, and {name} is missing. Add it"
            )
    wanted += [name for name in ("task", "task_test") if name in members]
    if "task_test" in wanted and not {"task", "x_test"} <= set(wanted):
        raise BadRows("has task_test without task and x_test. Add them, or leave it out")
    headers = {name: read_header(archive, name) for name in wanted}
    for name, header in headers.items():
        images = "x_test" if name.endswith("_test") else "x"
        if not header.shape or header.shape[0] != headers[images].shape[0]:
            raise BadRows(
                f"{name} has shape {header.shape}, and {images} {headers[images].shape}. "
                "Save as many rows of both"
            )
    return headers


def _image_shape(name: str, header: Header) -> ImageShape:
    if header.dtype.kind == "f":
        raise BadRows(
            f"{name} is {header.dtype}, and which value is white is not known. Save 8 bits, e.g. "
            "(x * 255).round().astype('uint8')"
        )
    if header.dtype not in (np.uint8, np.uint16, np.bool_):
        raise BadRows(f"{name} is {header.dtype}. Save uint8, uint16 or bool")
    match header.shape[1:]:
        case (height, width):
            return ImageShape(1, height, width)
        case (height, width, 1 | 3 as channels):
            return ImageShape(channels, height, width)
        case (1 | 3 as channels, height, width):
            return ImageShape(channels, height, width)
    raise BadRows(
        f"{name} has shape {header.shape}. Use [N, H, W], [N, H, W, C] or [N, C, H, W] "
        "with 1 or 3 channels"
    )


def _pixels(x: NDArray[Any], shape: ImageShape) -> Tensor:
    """[N, C, H, W] uint8"""
    if x.dtype == np.uint16:
        x = ((x.astype(np.uint32) + 128) // 257).astype(np.uint8)
    elif x.dtype == np.bool_:
        x = x.astype(np.uint8) * 255
    if x.ndim == 3:
        x = x[:, None]
    elif x.shape[1:] == (shape.height, shape.width, shape.channels):
        x = x.transpose(0, 3, 1, 2)
    return torch.from_numpy(np.ascontiguousarray(x))


def _labels(archive: zipfile.ZipFile, name: str, headers: dict[str, Header]) -> list[str]:
    """Whole numbers or text, as text."""
    shape, dtype = headers[name]
    if len(shape) != 1:
        raise BadRows(f"{name} has shape {shape}. Save one label for each image, [N]")
    values = read_array(archive, name)
    if dtype.kind == "f":
        hint = "a NaN" if np.isnan(values).any() else str(dtype)
        raise BadRows(f"{name} has {hint} where whole numbers or names are needed. Save integers")
    if dtype.kind not in "iubU":
        raise BadRows(f"{name} is {dtype}. Save integers or text")
    return [str(value) for value in values.astype(int if dtype.kind == "b" else dtype).tolist()]


def _tasks(archive: zipfile.ZipFile, name: str, headers: dict[str, Header]) -> Tensor:
    shape, dtype = headers[name]
    if len(shape) != 1 or dtype.kind not in "iu":
        raise BadRows(f"{name} is {dtype} of shape {shape}. Save one whole number for each image")
    values = read_array(archive, name).astype(np.int64)
    if values.min() < 0:
        raise BadRows(f"{name} has {values.min()}. Number experiences from 0 on")
    return torch.from_numpy(values)
