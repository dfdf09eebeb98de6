"""CIFAR-10, and CIFAR-100 with its fine or its coarse labels.

Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images".

The files are Python pickles, which can run code. So none is read before its MD5 is the published
one (torchvision's lists), and then only numpy arrays may come out of it. The archive's SHA-256 is
the one that Keras publishes.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from clrun.disk.opening import open_regular
from clrun.images.archives import unpack
from clrun.images.download import Progress
from clrun.images.files import (
    DamagedFile,
    Remote,
    check_present,
    check_published,
    check_readable,
    check_root,
    fetch_missing,
    folder_of,
    named_root,
)
from clrun.images.patterns import Patterns
from clrun.sources.cifar_names import CIFAR10_NAMES, CIFAR100_COARSE_NAMES, CIFAR100_NAMES
from clrun.sources.source import Keyless, SourceData


class CifarImages(Keyless):
    """32x32 colour images in pickled batches, laid out as torchvision does or in `root` itself."""

    name: str
    folder: str
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    label_key: bytes
    train_md5: Mapping[str, str]
    """the MD5 of each training file, in the order in which they are read"""
    test_md5: Mapping[str, str]
    archive: Remote
    channels, height, width = 3, 32, 32

    def check(self, root: Path, *, download: bool) -> None:
        """Raise ConfigError if files are missing and cannot be fetched, or are empty."""
        check_root(root, download=download)
        folder = self._folder(root)
        missing = self._missing(folder)
        if not (root / self.archive.name).is_file():
            check_present(root, folder, missing, download=download)
        with named_root(root):
            for name in {*self.train_md5, *self.test_md5}.difference(missing):
                check_readable(folder / name)

    def load(
        self, root: Path, *, download: bool, on_progress: Progress | None = None
    ) -> SourceData:
        """Read the files, unpacking or fetching the archive if needed; see `Source.load`."""
        self.check(root, download=download)
        folder = self._folder(root)
        if missing := self._missing(folder):
            fetch_missing(root, root, [self.archive], on_progress)
            archive = root / self.archive.name
            with named_root(root):
                check_published(archive, sha256=self.archive.sha256)
                # nothing else of the archive touches the disk
                only = {f"{self.folder}/{name}": name for name in missing}
                unpack(archive, folder, on_progress, only)
        with named_root(root):
            train, test = self._read(folder, self.train_md5), self._read(folder, self.test_md5)
        return SourceData(train, test)

    def _folder(self, root: Path) -> Path:
        return folder_of(root, (self.folder, "."), [*self.train_md5, *self.test_md5])

    def _missing(self, folder: Path) -> list[str]:
        return [n for n in (*self.train_md5, *self.test_md5) if not (folder / n).exists()]

    def _read(self, folder: Path, md5: Mapping[str, str]) -> Patterns:
        batches = [_read_batch(folder / name, md5[name], self.label_key) for name in md5]
        x = torch.from_numpy(np.concatenate([images for images, _ in batches]))
        y = torch.from_numpy(np.concatenate([labels for _, labels in batches]))
        return Patterns(x.view(-1, self.channels, self.height, self.width), y)


def _read_batch(path: Path, md5: str, label_key: bytes) -> tuple[np.ndarray, np.ndarray]:
    """[n, 3072] uint8 images and [n] int64 labels."""
    check_readable(path)
    check_published(path, md5=md5)
    try:
        with open_regular(path) as file:
            batch = _ArraysOnly(file, encoding="bytes").load()
    except pickle.UnpicklingError as error:
        raise DamagedFile(f"{path.name} is no batch of images ({error})") from error
    return batch[b"data"], np.asarray(batch[label_key], dtype=np.int64)


class _ArraysOnly(pickle.Unpickler):
    """Builds numpy arrays and Python's own containers; refuses every other name in the file."""

    def find_class(self, module: str, name: str) -> Any:
        rebuild = np.zeros(0, np.uint8).__reduce__()[0]  # its module moved in numpy 2
        allowed = {"_reconstruct": rebuild, "ndarray": np.ndarray, "dtype": np.dtype}
        if module.split(".")[0] != "numpy" or name not in allowed:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed")
        return allowed[name]


class Cifar10(CifarImages):
    """Ten classes, five training files."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        num_classes: ClassVar[int] = 10

    name = "cifar10"
    folder = "cifar-10-batches-py"
    class_names = CIFAR10_NAMES
    mean = (0.4914, 0.4822, 0.4465)
    std = (0.2470, 0.2435, 0.2616)
    label_key = b"labels"
    train_md5: Mapping[str, str] = {
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    }
    test_md5: Mapping[str, str] = {"test_batch": "40351d587109b95175f43aff81a1287e"}
    archive = Remote(
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
        170_498_071,
    )


class Cifar100(CifarImages):
    """A hundred classes."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        num_classes: ClassVar[int] = 100

    name = "cifar100"
    folder = "cifar-100-python"
    class_names = CIFAR100_NAMES
    mean = (0.5071, 0.4865, 0.4409)
    std = (0.2673, 0.2564, 0.2762)
    label_key = b"fine_labels"
    train_md5: Mapping[str, str] = {"train": "16019d7e3df5f24257cddd939b257f8d"}
    test_md5: Mapping[str, str] = {"test": "f0ef6b0ae62326f3e7ffdfab6717acfc"}
    archive = Remote(
        "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
        169_001_437,
    )


class Cifar100Coarse(Cifar100):
    """The same images in twenty superclasses of five classes."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        num_classes: ClassVar[int] = 20

    name = "cifar100_coarse"
    class_names = CIFAR100_COARSE_NAMES
    label_key = b"coarse_labels"
