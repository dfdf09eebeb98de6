"""Class folders: DIR/CLASS/... or DIR/train/CLASS/... with DIR/test/CLASS/... (or val/)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import torch

from clrun.config.bounds import Count, FilePath, Share
from clrun.images.image_files import SUFFIXES
from clrun.sources.labelled_files import FileRows, LabelledFiles
from clrun.sources.labelled_rows import BadRows, LabelledRows, in_order, own_root, with_test_rows

TEST_FOLDERS = ("test", "val")
"""Where the test images are, the first that exists; a val/ beside a test/ is not read."""
NOTES = (".txt", ".csv", ".json", ".xml", ".md", ".yaml", ".yml", ".db", ".ini", ".html")
"""Files that may lie among images without being meant as one."""
NOT_DATA = ("__MACOSX", "Thumbs.db", "desktop.ini")
NO_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters, and bytes that are not UTF-8: no table and no JSON could hold them."""


class Folder(LabelledFiles):
    """Class folders of images, as `find_in_folders` reads them."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        data_root: FilePath | None
        test_fraction: Share | None
        image_size: Count | None
        channels: Literal[1, 3] | None

    def __init__(self, config: Config) -> None:
        missing = "name the folder that holds the class folders, e.g. benchmark.data_root=photos"
        root = own_root(config.data_root, missing)
        find = partial(find_in_folders, root, config.test_fraction)
        super().__init__("folder", root, find, config.image_size, config.channels)


def find_in_folders(root: Path, test_fraction: float | None) -> FileRows:
    """The images below each class folder, by path; hidden files and notes are passed over.

    Raises:
        BadRows: there are no class folders, one is empty or on one side only, a link goes round
            or nowhere, or a file is no image by its name.
        OSError: a folder cannot be read.
    """
    _require_folder(root)
    test_folder = _test_folder(root)
    if test_folder is not None and test_fraction is not None:
        raise BadRows(
            f"benchmark.test_fraction={test_fraction} is given, and there is a folder "
            f"{test_folder.name}/. Use benchmark.test_fraction=null, or take the folder away"
        )
    train_folder = root / "train" if _is_split(root) else root
    train = _by_class(train_folder)
    test = _by_class(test_folder) if test_folder is not None else {}
    if test_folder is not None:
        _require_same_classes(train, test, test_folder.name)
    names = in_order(set(train))
    files = [file for of_side in (train, test) for k in names for file in of_side.get(k, ())]
    counts = [len(of_side.get(k, ())) for of_side in (train, test) for k in names]
    y = torch.arange(len(names)).repeat(2).repeat_interleave(torch.tensor(counts))
    is_test = torch.arange(len(files)) >= sum(counts[: len(names)])
    rows = LabelledRows(names, y, is_test)
    return FileRows(tuple(files), rows if test else with_test_rows(rows, test_fraction))


def _require_folder(root: Path) -> None:
    if not root.exists():
        raise BadRows("there is no such folder. Name the folder that holds the class folders")
    if not root.is_dir():
        raise BadRows("is a file, not a folder. Name a folder, or use benchmark=npz or csv")


def _is_split(root: Path) -> bool:
    """Whether train/ is a side and not a class of that name."""
    return {"train"} <= _folders(root) <= {"train", "valid", *TEST_FOLDERS}


def _test_folder(root: Path) -> Path | None:
    if not _is_split(root):
        return None
    return next((root / name for name in TEST_FOLDERS if (root / name).is_dir()), None)


def _folders(root: Path) -> set[str]:
    return {entry.name for entry in _visible(root) if entry.is_dir()}


def _by_class(folder: Path) -> dict[str, list[Path]]:
    """The images of each class folder, by path."""
    stray = [e.name for e in _visible(folder) if e.is_file() and _is_image(e.name)]
    names = _folders(folder)
    if not names:
        found = f"has images ({stray[0]}) but no class folders" if stray else "has no class folders"
        raise BadRows(
            f"{folder.name}/ {found}. Put the images of each class in a folder of its own"
        )
    if stray:
        raise BadRows(f"{stray[0]} lies beside the class folders. Move it into its class's folder")
    found_files = {name: list(_images(folder / name, (_identity(folder),))) for name in names}
    for name, files in found_files.items():
        if not files:
            raise BadRows(f"{folder.name}/{name}/ has no images. Add some, or remove the folder")
    return found_files


def _images(folder: Path, above: tuple[tuple[int, int], ...]) -> Iterator[Path]:
    """The images in a folder and those below it; `above` are the folders on the way here."""
    here = _identity(folder)
    if here in above:
        raise BadRows(f"{folder.name} is a link to a folder above it. Remove the link")
    for entry in sorted(_visible(folder), key=lambda entry: entry.name):
        place = f"{folder.name}/{entry.name}"
        if entry.is_dir():
            yield from _images(Path(entry.path), (*above, here))
        elif not entry.is_file():
            raise BadRows(f"{place} is no regular file. Remove it")
        elif _is_image(entry.name):
            yield Path(entry.path)
        elif Path(entry.name).suffix.lower() not in NOTES:
            raise BadRows(f"{place} is no image by its name. Use {', '.join(SUFFIXES)}")


def _visible(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        found = [e for e in entries if not e.name.startswith(".") and e.name not in NOT_DATA]
    for entry in found:
        _require_usable(entry, f"{folder.name}/{entry.name}")
    return found


def _require_usable(entry: os.DirEntry[str], place: str) -> None:
    """Raise BadRows for a link to nothing or to itself, and for a name that is no text."""
    if entry.is_symlink() and not os.path.exists(entry.path):
        raise BadRows(f"{place} is a broken link. Mend or remove it")
    if NO_TEXT.search(place):
        raise BadRows(f"{place!r} has a name that is no text on one line. Rename it")


def _is_image(name: str) -> bool:
    return Path(name).suffix.lower() in SUFFIXES


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _require_same_classes(
    train: dict[str, list[Path]], test: dict[str, list[Path]], test_name: str
) -> None:
    for side, other, missing in (
        ("train", test_name, sorted(set(train) - set(test))),
        (test_name, "train", sorted(set(test) - set(train))),
    ):
        if missing:
            raise BadRows(
                f"{side}/ has a class {missing[0]}, and {other}/ has none of that name. "
                "Give both the same class folders"
            )
