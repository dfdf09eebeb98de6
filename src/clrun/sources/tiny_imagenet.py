"""Tiny ImageNet (Stanford CS231N; Le & Yang 2015): 200 classes, 64x64, 500 training images each.

The published test images have no labels, so the validation images are the test set, as is usual.
The archive's SHA-256 and size are what independent users of the published file report.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import torch

from clrun.disk.opening import read_bytes
from clrun.images.archives import unpack
from clrun.images.download import Progress
from clrun.images.files import (
    DamagedFile,
    Remote,
    check_present,
    check_published,
    check_root,
    fetch_missing,
    folder_of,
    named_root,
)
from clrun.sources.labelled_files import FileRows, LabelledFiles
from clrun.sources.labelled_rows import LabelledRows
from clrun.sources.source import Keyless, SourceData

FOLDER = "tiny-imagenet-200"
ANNOTATIONS = "val/val_annotations.txt"


ARCHIVE = Remote(
    "https://cs231n.stanford.edu/tiny-imagenet-200.zip",
    "6198c8ae015e2b3e007c7841da39ec069199b9aa3bfa943a462022fe5e43c821",
    248_100_043,
)


class TinyImagenet(Keyless):
    """Classes in the order of their WordNet numbers, which name them once the data are read."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        num_classes: ClassVar[int] = 200

    name = "tiny_imagenet"
    channels, height, width = 3, 64, 64
    mean = (0.4802, 0.4481, 0.3975)  # of the training images, as commonly used
    std = (0.2770, 0.2691, 0.2821)
    num_classes = Config.num_classes
    per_class = 500
    num_test = 10_000
    archive = ARCHIVE
    _names: tuple[str, ...] = ()

    @property
    def class_names(self) -> tuple[str, ...]:
        return self._names or tuple(str(k) for k in range(self.num_classes))

    def check(self, root: Path, *, download: bool) -> None:
        """Raise ConfigError if folders are missing and cannot be fetched."""
        check_root(root, download=download)
        if not (root / self.archive.name).is_file():
            check_present(root, self._folder(root), self._missing(root), download=download)

    def load(
        self, root: Path, *, download: bool, on_progress: Progress | None = None
    ) -> SourceData:
        """Decode the images into the cache, unpacking or fetching the archive if needed."""
        self.check(root, download=download)
        if self._missing(root):
            fetch_missing(root, root, [self.archive], on_progress)
            archive = root / self.archive.name
            with named_root(root):
                check_published(archive, sha256=self.archive.sha256)
                unpack(archive, root, on_progress)
        folder = self._folder(root)
        with named_root(root):
            found = self._find(folder)
        files = LabelledFiles(
            self.name, root, partial(FileRows, *found), self.height, self.channels
        )
        return files.load(root, download=False, on_progress=on_progress)

    def _folder(self, root: Path) -> Path:
        return folder_of(root, (FOLDER, "."), [ANNOTATIONS])

    def _missing(self, root: Path) -> list[str]:
        folder = self._folder(root)
        return [name for name in ("train", ANNOTATIONS) if not (folder / name).exists()]

    def _find(self, folder: Path) -> FileRows:
        """Every published file and its class, checked to be as many as were published."""
        self._names = tuple(sorted(entry.name for entry in (folder / "train").iterdir()))
        if len(self._names) != self.num_classes:
            raise DamagedFile(f"train/ holds {len(self._names)} of {self.num_classes} classes")
        train = [file for name in self._names for file in self._of_class(folder, name)]
        number = {name: k for k, name in enumerate(self._names)}
        lines = read_bytes(folder / ANNOTATIONS).decode("ascii", errors="replace").splitlines()
        cells = [line.split("\t") for line in lines]
        if len(cells) != self.num_test or any(len(c) < 2 or c[1] not in number for c in cells):
            raise DamagedFile(f"{ANNOTATIONS} does not name {self.num_test} images with a class")
        test = [folder / "val" / "images" / os.path.basename(c[0]) for c in cells]
        y = torch.arange(self.num_classes).repeat_interleave(self.per_class)
        y = torch.cat([y, torch.tensor([number[c[1]] for c in cells])])
        is_test = torch.arange(len(y)) >= len(train)
        return FileRows((*train, *test), LabelledRows(self.class_names, y, is_test))

    def _of_class(self, folder: Path, name: str) -> list[Path]:
        images = folder / "train" / name / "images"
        if not images.is_dir():
            raise DamagedFile(f"train/{name}/images is not there")
        files = sorted(file for file in images.iterdir() if file.suffix == ".JPEG")
        if len(files) != self.per_class:
            raise DamagedFile(f"train/{name} holds {len(files)} of {self.per_class} images")
        return files
