"""Any of torchvision's classification sets as a source of uint8 images.

torchvision fetches the files itself. Some of its servers speak plain http (SVHN, STL10, Food101,
KMNIST, FashionMNIST); what arrives is believed only if its MD5 is the one in torchvision's code.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import torch
from torch import Tensor

from clrun.config.bounds import Count
from clrun.images.download import DownloadError, Progress
from clrun.images.files import bad_root, check_present, check_root
from clrun.images.patterns import Patterns
from clrun.profiling.spans import span
from clrun.sources.labelled_files import FileRows, LabelledFiles
from clrun.sources.labelled_rows import LabelledRows
from clrun.sources.source import SourceData
from clrun.sources.statistics import Statistics, channel_statistics, known
from clrun.sources.torchvision_sets import SETS, PublishedSet, TorchvisionName


class TorchvisionImages:
    """A set of torchvision's. Arrays stay in memory; image files go through the cache."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        dataset: TorchvisionName
        image_size: Count | None
        """side to resize image files to; the benchmark resizes the others"""

        def __post_init__(self) -> None:
            if SETS[self.dataset].side is None and self.image_size is None:
                raise ValueError(
                    f"image_size=null: the images of dataset={self.dataset} differ in size. "
                    f"Use e.g. image_size=64."
                )

        @property
        def num_classes(self) -> int:
            return SETS[self.dataset].num_classes

    def __init__(self, config: Config) -> None:
        self.name, self.image_size = config.dataset, config.image_size
        self._statistics: Statistics | None = None

    @property
    def published(self) -> PublishedSet:
        return SETS[self.name]

    @property
    def channels(self) -> int:
        return self.published.channels

    @property
    def height(self) -> int:
        side = self.published.side or self.image_size
        assert side is not None  # the Config asks for it
        return side

    @property
    def width(self) -> int:
        return self.height

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        return tuple(str(k) for k in range(self.published.num_classes))

    @property
    def mean(self) -> tuple[float, ...]:
        return known(self._statistics)[0]

    @property
    def std(self) -> tuple[float, ...]:
        return known(self._statistics)[1]

    def check(self, root: Path, *, download: bool) -> None:
        """Raise ConfigError if the set is not there and may not or cannot be fetched."""
        if not self.published.needs:
            return
        check_root(root, download=download)
        folder = self._folder(root)
        missing = [] if (folder / self.published.needs).exists() else [self.published.needs]
        check_present(root, folder, missing, download=download)

    def load(
        self, root: Path, *, download: bool, on_progress: Progress | None = None
    ) -> SourceData:
        """Read the set, fetched by torchvision if needed; see `Source.load`."""
        self.check(root, download=download)
        with self._one_line_errors(root):
            parts = [
                [self._dataset(root, arguments, download) for arguments in part]
                for part in (self.published.train, self.published.test)
            ]
            if hasattr(parts[0][0], "data") or not self.published.needs:
                train, test = (self._in_memory(part) for part in parts)
                data = SourceData(train, test)
                self._statistics = channel_statistics(data.train.x)
                return data
            found = self._files(root, parts)
        files = LabelledFiles(self.name, root, lambda: found, self.image_size, self.channels)
        data = files.load(root, download=False, on_progress=on_progress)
        self._statistics = (files.mean, files.std)
        return data

    def _folder(self, root: Path) -> Path:
        apart = root / self.published.below
        return root if (root / self.published.needs).exists() else apart

    def _dataset(self, root: Path, arguments: dict[str, Any], download: bool) -> Any:
        with span("import torchvision"):
            from torchvision import datasets  # takes a second, and most runs need none of it

        cls = getattr(datasets, self.published.class_name or self.name)
        folder = self._folder(root)
        if not self.published.needs:
            return cls(**arguments)
        folder.mkdir(parents=True, exist_ok=True)
        return cls(str(folder), download=download, **arguments)

    def _in_memory(self, part: Sequence[Any]) -> Patterns:
        x = torch.cat([_pixels(dataset) for dataset in part])
        y = torch.cat([_labels(dataset) for dataset in part]) - self.published.first_label
        assert 0 <= int(y.min()) <= int(y.max()) < self.published.num_classes, self.name
        return Patterns(x, y)

    def _files(self, root: Path, parts: Sequence[Sequence[Any]]) -> FileRows:
        pairs = [_files_and_labels(dataset) for part in parts for dataset in part]
        files = tuple(Path(file) for of_part, _ in pairs for file in of_part)
        y = torch.tensor([label for _, labels in pairs for label in labels])
        num_train = sum(len(dataset) for dataset in parts[0])
        rows = LabelledRows(self.class_names, y, torch.arange(len(y)) >= num_train)
        return FileRows(files, rows)

    @contextmanager
    def _one_line_errors(self, root: Path) -> Iterator[None]:
        """Whatever torchvision raises becomes one line."""
        try:
            yield
        except (URLError, HTTPException, TimeoutError, ConnectionError) as error:
            raise DownloadError(
                f"benchmark.data_root={root}: {self.name} is not all there, and torchvision could "
                f"not fetch it ({getattr(error, 'reason', error)}). Put it there, or run once "
                "online."
            ) from error
        except (RuntimeError, ValueError, EOFError) as error:
            reason = f"{self.name} is not as torchvision expects it ({_first_line(error)})"
            way_out = "Delete it and run with benchmark.download=true, or name another folder"
            raise bad_root(root, reason, way_out) from error
        except OSError as error:
            place = error.filename or self.published.needs
            reason = f"{place} cannot be read or written ({error.strerror or error})"
            raise bad_root(root, reason, "Put the files there, or choose another folder") from error


def _pixels(dataset: Any) -> Tensor:
    """[N, C, H, W] uint8"""
    if not hasattr(dataset, "data"):  # FakeData draws each image when asked
        images = [np.asarray(dataset[k][0]) for k in range(len(dataset))]
        return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()
    x = torch.as_tensor(dataset.data)
    assert x.dtype == torch.uint8, x.dtype
    if x.dim() == 3:
        return x.unsqueeze(1)
    return x if x.shape[1] == 3 else x.permute(0, 3, 1, 2).contiguous()


def _labels(dataset: Any) -> Tensor:
    """[N] int64"""
    for name in ("targets", "labels"):
        if hasattr(dataset, name):
            y = torch.as_tensor(getattr(dataset, name)).long()
            return y if y.dim() == 1 else y[:, 0]  # QMNIST tells the writer beside the digit
    return torch.tensor([int(dataset[k][1]) for k in range(len(dataset))])


def _files_and_labels(dataset: Any) -> tuple[list[Path], list[int]]:
    """torchvision keeps them under three pairs of names; a test reads a set of each kind."""
    for name in ("_samples", "samples"):
        if hasattr(dataset, name):
            files, labels = zip(*getattr(dataset, name), strict=True)
            return list(files), list(labels)
    name = "_image_files" if hasattr(dataset, "_image_files") else "_images"
    return list(getattr(dataset, name)), list(dataset._labels)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
