"""MNIST (LeCun et al. 1998) and Fashion-MNIST (Xiao et al. 2017, arXiv:1708.07747).

SHA-256 sums are those of torchvision's prototype data sets; sizes are the servers'. Both are
fetched over https: MNIST from PyTorch's mirror, Fashion-MNIST from its authors' repository, since
the bucket that torchvision uses speaks plain http only.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from clrun.images.download import Progress
from clrun.images.files import (
    DamagedFile,
    Remote,
    bad_root,
    check_present,
    check_root,
    fetch_missing,
    folder_of,
    named_root,
)
from clrun.images.patterns import Patterns
from clrun.sources.idx import idx_shape, read_idx
from clrun.sources.source import Keyless, SourceData

SPLITS = ("train", "t10k")
FOLDERS = ("MNIST", "FashionMNIST")


class IdxImages(Keyless):
    """28x28 grey images in four IDX files, laid out as torchvision does or in `root` itself."""

    name: str
    folder: str
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    remotes: tuple[Remote, ...]
    """the four gzipped files"""
    channels, height, width = 1, 28, 28

    def check(self, root: Path, *, download: bool) -> None:
        """Raise ConfigError unless the headers of all files fit, or the files can be fetched."""
        check_root(root, download=download)
        folder = self._folder(root)
        missing = [remote.name for remote in self._missing(folder)]
        check_present(root, folder, missing, download=download)
        if not missing:
            with named_root(root):
                for split in SPLITS:
                    self._check_headers(folder, split)

    def load(
        self, root: Path, *, download: bool, on_progress: Progress | None = None
    ) -> SourceData:
        """Read the files, plain or gzipped; see `Source.load`."""
        self.check(root, download=download)
        folder = self._folder(root)
        fetch_missing(root, folder, self._missing(folder), on_progress)
        with named_root(root):
            train, test = (self._read(folder, split) for split in SPLITS)
        return SourceData(train, test)

    def _folder(self, root: Path) -> Path:
        names = [remote.name for remote in self.remotes]
        names += [name.removesuffix(".gz") for name in names]
        folder = folder_of(root, (f"{self.folder}/raw", self.folder, "raw", "."), names)
        path = folder.resolve().parts
        if self.folder not in path and (other := set(FOLDERS) & set(path[-2:])):
            # the files of the two sets have the same names and shapes
            raise bad_root(root, f"holds {other.pop()}, not {self.folder}", "Name its parent")
        return folder

    def _missing(self, folder: Path) -> list[Remote]:
        return [r for r in self.remotes if not _plain_or_gzipped(folder, r.name).exists()]

    def _check_headers(self, folder: Path, split: str) -> None:
        images, labels = _images(folder, split), _labels(folder, split)
        count, *size = idx_shape(images, 3)
        (num_labels,) = idx_shape(labels, 1)
        if size != [self.height, self.width]:
            raise DamagedFile(f"{images.name} holds images of {size[0]}x{size[1]}, not 28x28")
        if count != num_labels:
            raise DamagedFile(f"{labels.name} holds {num_labels} labels for {count} images")

    def _read(self, folder: Path, split: str) -> Patterns:
        self._check_headers(folder, split)
        x = read_idx(_images(folder, split), 3)
        y = read_idx(_labels(folder, split), 1).long()
        if y.max() >= len(self.class_names):
            raise DamagedFile(f"{_labels(folder, split).name} holds a label {int(y.max())}")
        return Patterns(x.unsqueeze(1), y)


def _images(folder: Path, split: str) -> Path:
    return _plain_or_gzipped(folder, f"{split}-images-idx3-ubyte.gz")


def _labels(folder: Path, split: str) -> Path:
    return _plain_or_gzipped(folder, f"{split}-labels-idx1-ubyte.gz")


def _plain_or_gzipped(folder: Path, name: str) -> Path:
    plain = folder / name.removesuffix(".gz")
    return plain if plain.exists() else folder / name


def _published(base: str, *sums_and_sizes: tuple[str, int]) -> tuple[Remote, ...]:
    """Training images and labels, then test images and labels."""
    kinds = ("images-idx3-ubyte.gz", "labels-idx1-ubyte.gz")
    names = [f"{split}-{kind}" for split in SPLITS for kind in kinds]
    return tuple(
        Remote(f"{base}/{name}", sha256, size)
        for name, (sha256, size) in zip(names, sums_and_sizes, strict=True)
    )


class Mnist(IdxImages):
    """Handwritten digits."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        num_classes: ClassVar[int] = 10

    name = "mnist"
    folder = "MNIST"
    class_names = tuple("0123456789")
    mean, std = (0.1307,), (0.3081,)
    remotes = _published(
        "https://ossci-datasets.s3.amazonaws.com/mnist",
        ("440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609", 9_912_422),
        ("3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c", 28_881),
        ("8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6", 1_648_877),
        ("f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6", 4_542),
    )


class FashionMnist(IdxImages):
    """Articles of clothing."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        num_classes: ClassVar[int] = 10

    name = "fashion_mnist"
    folder = "FashionMNIST"
    class_names = (
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    )
    mean, std = (0.2860,), (0.3530,)
    remotes = _published(
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
        ("3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84", 26_421_880),
        ("a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845", 29_515),
        ("346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073", 4_422_102),
        ("67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5", 5_148),
    )
