"""Class folders: DIR/CLASS/..., or train/CLASS/... with test/CLASS/... and val/CLASS/... in DIR."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import torch

from clrun.config.bounds import Count, FilePath, Fraction, Share
from clrun.images.files import some
from clrun.images.image_files import SUFFIXES
from clrun.sources.class_names import BadRows, check_names, composed, folded, in_order
from clrun.sources.labelled_files import FileRows, LabelledFiles, all_files, whole_files
from clrun.sources.labelled_rows import LabelledRows, own_root, with_test_rows
from clrun.sources.levels import notes_on_levels
from clrun.sources.passed_over import holds_runs, is_system
from clrun.sources.sides import Side, side_of

NOTES = (".txt", ".csv", ".json", ".xml", ".md", ".yaml", ".yml", ".db", ".ini", ".html")
"""Files that may lie among images without being meant as one."""
NO_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters, and bytes that are not UTF-8: no table and no JSON could hold them."""
ClassFiles = dict[str, list[Path]]
"""class -> its images"""


class Folder(LabelledFiles):
    """Class folders of images, as `find_in_folders` reads them."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        data_root: FilePath | None
        test_fraction: Share | None
        validation_fraction: Fraction
        image_size: Count | None
        channels: Literal[1, 3] | None
        damaged: Literal["refuse", "skip"]

    def __init__(self, config: Config) -> None:
        missing = "name the folder that holds the class folders, e.g. benchmark.data_root=photos"
        root = own_root(config.data_root, missing)
        choose = whole_files if config.damaged == "skip" else all_files
        find = partial(
            find_in_folders, root, config.test_fraction, config.validation_fraction, choose
        )
        super().__init__("folder", root, find, config.image_size, config.channels, can_skip=True)


def find_in_folders(
    root: Path,
    test_fraction: float | None,
    validation_fraction: float = 0.0,
    choose: Callable[[FileRows], FileRows] = all_files,
) -> FileRows:
    """The images below each class folder, by path; hidden and system files are passed over.

    A folder whose name means a side is one in any case, and never a class. `choose` says which
    files are taken, before any are set aside.

    Raises:
        BadRows: there are no class folders, one is empty or on one side only, two mean the same
            class or side, a link goes round or nowhere, or a file is no image by its name.
        OSError: a folder cannot be read.
    """
    _require_folder(root)
    sides, notes = _sides(root)
    for side, key, fraction in (
        ("test", "test_fraction", test_fraction),
        ("validation", "validation_fraction", validation_fraction),
    ):
        if side in sides and fraction:
            raise BadRows(
                f"benchmark.{key}={fraction} is given, and there is a folder {sides[side].name}/. "
                f"Use benchmark.{key}={'null' if side == 'test' else 0}, or take the folder away"
            )
    found = {side: _by_class(folder) for side, folder in sides.items()}
    notes += notes_on_levels(sides["train"], found["train"])
    for side in found.keys() - {"train"}:
        _require_same_classes(found, sides, side)
    names = in_order(found["train"])
    order: tuple[Side, ...] = ("train", "test", "validation")
    files = [f for side in order for k in names for f in found.get(side, {}).get(k, ())]
    counts = torch.tensor([len(found.get(side, {}).get(k, ())) for side in order for k in names])
    y = torch.arange(len(names)).repeat(len(order)).repeat_interleave(counts)
    number = torch.arange(len(order)).repeat_interleave(counts.view(len(order), -1).sum(1))
    rows = LabelledRows(names, y, number == 1, is_validation=number == 2)
    chosen = choose(FileRows(tuple(files), rows, tuple(notes)))
    if "test" in found:
        return chosen
    return chosen._replace(rows=with_test_rows(chosen.rows, test_fraction))


def _require_folder(root: Path) -> None:
    if not root.exists():
        raise BadRows("there is no such folder. Name the folder that holds the class folders")
    if not root.is_dir():
        raise BadRows("is a file, not a folder. Name a folder, or use benchmark=npz or csv")


def _sides(root: Path) -> tuple[dict[Side, Path], list[str]]:
    """The folder of each side, and notes on what was decided.

    Without a folder for testing, that of validation is for it.
    """
    named: dict[Side, Path] = {}
    others = []
    for name in sorted(_folders(root)):
        side = side_of(name)
        if side is None:
            others.append(name)
        elif side in named:
            raise BadRows(f"{named[side].name}/ and {name}/ both mean the {side} side. Keep one")
        else:
            named[side] = root / name
    if not named:
        return {"train": root}, []
    first = next(iter(named.values())).name
    if "train" not in named:
        raise BadRows(
            f"has {first}/ and no train/. Add the side to train on, or, if {first}/ is a class, "
            "rename it"
        )
    if others and len(named) == 1:
        raise BadRows(
            f"{first}/ means a side and stands beside {others[0]}/. Rename it if it is a class, "
            f"or take {others[0]}/ away"
        )
    if "test" not in named and "validation" in named:
        named["test"] = named.pop("validation")
    beside = " and ".join(f"{path.name}/" for path in named.values())
    note = f"{', '.join(f'{name}/' for name in others)} beside {beside} is not read."
    return named, [note] if others else []


def _folders(root: Path) -> set[str]:
    return {entry.name for entry in _visible(root) if entry.is_dir()}


def _by_class(folder: Path) -> ClassFiles:
    """The images of each class folder, by path; names in their composed form."""
    stray = [e.name for e in _visible(folder) if e.is_file() and _is_image(e.name)]
    names = sorted(_folders(folder))
    if not names:
        found = f"has images ({stray[0]}) but no class folders" if stray else "has no class folders"
        raise BadRows(
            f"{folder.name}/ {found}. Put the images of each class in a folder of its own"
        )
    if stray:
        raise BadRows(f"{stray[0]} lies beside the class folders. Move it into its class's folder")
    check_names({name: f"{folder.name}/{name}/" for name in names})
    strange: list[str] = []
    above = (_identity(folder),)
    found_files = {name: list(_images(folder / name, above, strange)) for name in names}
    if strange:
        reason = "is no image by its name" if len(strange) == 1 else "are no images by their names"
        raise BadRows(f"{some(strange)} {reason}. Use {', '.join(SUFFIXES)}")
    for name, files in found_files.items():
        if not files:
            raise BadRows(f"{folder.name}/{name}/ has no images. Add some, or remove the folder")
    return {composed(name): files for name, files in found_files.items()}


def images_below(folder: Path) -> list[Path]:
    """All images in a folder and those below it, by path, whatever its folders mean.

    Raises:
        BadRows: there are none, or a link goes round or nowhere.
        OSError: a folder cannot be read.
    """
    found = list(_images(folder, (), [], sides=True))
    if not found:
        raise BadRows(f"has no images. Use {', '.join(SUFFIXES)}")
    return found


def _images(
    folder: Path, above: tuple[tuple[int, int], ...], strange: list[str], *, sides: bool = False
) -> Iterator[Path]:
    """The images in a folder and those below it; `above` are the folders on the way here.

    Files that are neither images nor notes by their names are added to `strange`. Folders that mean
    sides are refused unless `sides`.
    """
    here = _identity(folder)
    if here in above:
        raise BadRows(f"{folder.name} is a link to a folder above it. Remove the link")
    entries = sorted(_visible(folder), key=lambda entry: entry.name)
    if not sides:
        _refuse_sides_below(folder, [entry.name for entry in entries if entry.is_dir()])
    for entry in entries:
        place = f"{folder.name}/{entry.name}"
        if entry.is_dir():
            yield from _images(Path(entry.path), (*above, here), strange, sides=sides)
        elif not entry.is_file():
            raise BadRows(f"{place} is no regular file. Remove it")
        elif _is_image(entry.name):
            yield Path(entry.path)
        elif Path(entry.name).suffix.lower() not in NOTES:
            strange.append(place)


def _refuse_sides_below(folder: Path, names: list[str]) -> None:
    """Sides inside a class would be mixed with one another."""
    sides = {side_of(name): name for name in names}
    sides.pop(None, None)
    if len(sides) > 1:
        reason = " and ".join(f"{name}/" for name in sides.values())
        raise BadRows(
            f"{folder.name}/ is read as a class, and holds {reason}. If they are sides, name "
            f"{folder.name}/ as benchmark.data_root, or put sides above classes"
        )


def _visible(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        found = [entry for entry in entries if not is_system(entry.name)]
    for entry in found:
        _require_usable(entry, f"{folder.name}/{entry.name}")
    return [entry for entry in found if not (entry.is_dir() and holds_runs(Path(entry.path)))]


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
    found: dict[Side, ClassFiles], sides: dict[Side, Path], side: Side
) -> None:
    """Raise BadRows for a class of one side only."""
    here, there = sides[side].name, sides["train"].name
    missing = {
        (there, here): set(found["train"]) - set(found[side]),
        (here, there): set(found[side]) - set(found["train"]),
    }
    for (has, lacks), names in missing.items():
        if names:
            name = min(names)
            others = found["train"] if lacks == there else found[side]
            near = next((other for other in others if folded(other) == folded(name)), None)
            reason = "none of that name" if near is None else repr(near)
            raise BadRows(
                f"{has}/ has a class {name}, and {lacks}/ has {reason}. "
                "Give both the same class folders"
            )
