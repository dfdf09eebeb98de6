"""Images that nobody has named yet: files, folders, tables and arrays, decoded as for training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from clrun.errors import ConfigError
from clrun.images.decoding import decoded
from clrun.images.files import DamagedFile, DamagedFiles
from clrun.images.image_files import Decoder, ImageShape, image_shape
from clrun.images.transforms import resize
from clrun.sources import csv_table, npz
from clrun.sources.class_names import BadRows
from clrun.sources.folder import images_below

AT_ONCE = 256
"""Files that are decoded before any of them is looked at further; bounds the memory."""


class Images(NamedTuple):
    """Some images of those that are looked at."""

    names: list[str]
    x: Tensor
    """[N, C, H, W] uint8"""


@dataclass
class Unlabelled:
    """The images at some paths, in order, of the shape that a model takes.

    A file is resized, its sides apart, and converted to the model's channels, as in training;
    arrays are resized where they are to become square.
    """

    paths: Sequence[Path]
    shape: ImageShape
    skips_damaged: bool
    damaged: dict[str, DamagedFile] = field(default_factory=dict)
    """what was left out, by name, once all images were read"""
    resized: int = 0
    """how many of the images so far had another size"""

    def __iter__(self) -> Iterator[Images]:
        """Raises ConfigError for what cannot be read: of damaged files, after all others."""
        files: list[Path] = []
        for path in self.paths:
            if path.suffix.lower() == ".npz" and not path.is_dir():
                yield from self._files(files)
                files = []
                with _one_line_errors(path):
                    yield from self._arrays(path)
            else:
                with _one_line_errors(path):
                    files += _files_at(path)
        yield from self._files(files)
        if self.damaged and not self.skips_damaged:
            reasons = DamagedFiles(dict(enumerate(self.damaged.values())))
            raise ConfigError(f"{reasons}. Repair them, or leave them out.")

    def _files(self, files: Sequence[Path]) -> Iterator[Images]:
        for start in range(0, len(files), AT_ONCE):
            chosen = files[start : start + AT_ONCE]
            parts: list[Tensor] = []
            damaged: dict[int, DamagedFile] = {}
            try:
                for pixels in decoded(chosen, Decoder(self.shape), tuple(self.shape)):
                    parts.append(torch.from_numpy(np.ascontiguousarray(pixels)))
            except DamagedFiles as error:
                damaged = error.damaged
            self.damaged |= {str(chosen[k]): reason for k, reason in damaged.items()}
            whole = [k for k in range(len(chosen)) if k not in damaged]
            for k in whole:
                with _one_line_errors(chosen[k]):  # it may have changed since
                    self.resized += image_shape(chosen[k])[1:] != self.shape[1:]
            if whole:
                yield Images([str(chosen[k]) for k in whole], torch.cat(parts)[whole])

    def _arrays(self, path: Path) -> Iterator[Images]:
        for array, x in npz.images_in(path).items():
            fitted = self._fitted(array, x)
            for start, rows in enumerate(fitted.split(AT_ONCE)):
                first = start * AT_ONCE
                yield Images([f"{path}:{array}[{first + k}]" for k in range(len(rows))], rows)

    def _fitted(self, array: str, x: Tensor) -> Tensor:
        """The images in the model's channels and size."""
        channels, height, width = self.shape
        if x.shape[1] == 1 and channels > 1:
            x = x.expand(-1, channels, -1, -1).contiguous()
        if x.shape[1] != channels:
            raise BadRows(f"{array} has {x.shape[1]} channels, and the model takes {channels}")
        if tuple(x.shape[2:]) == (height, width):
            return x
        if height != width:
            found = f"{x.shape[3]}x{x.shape[2]}"
            raise BadRows(f"{array} is {found}, and the model takes {width}x{height}. Resize it")
        self.resized += len(x)
        return resize(x, height)


def _files_at(path: Path) -> Sequence[Path]:
    """The image files that a folder, a table or a file itself means."""
    if path.is_dir():
        return images_below(path)
    return csv_table.images_in(path) if path.suffix.lower() == ".csv" else [path]


@contextmanager
def _one_line_errors(path: Path) -> Iterator[None]:
    """Whatever is wrong with what is at a path becomes one line that begins with it."""
    try:
        yield
    except DamagedFile as error:
        raise ConfigError(f"{path}: {error}.") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}).") from error
