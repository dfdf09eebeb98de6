"""From the paths in a table to files below its folder, however the table's maker wrote them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from clrun.images.files import some
from clrun.sources.class_names import BadRows, composed

ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
DRIVE = re.compile(r"[A-Za-z]:[\\/]|\\\\")
"""How a whole path of Windows begins."""
MOST_MISSING = 1000
"""Files that are not there, after which no more are looked for."""


class Paths:
    r"""The file of each row, looked for when the row is read; links are followed as the user made
    them.

    Whole paths are taken where they are below the folder, `a\b` for `a/b`, and accents in
    whatever form the disk has them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._tree = _Tree(folder)
        self._row_of: dict[str, int] = {}
        self._missing: list[tuple[int, str]] = []

    def add(self, path: str, row: int) -> None:
        """Find the file of a row, counted from 1.

        Raises:
            BadRows: the path is not below the folder, the file is named twice, or too many are not
                there to go on looking.
        """
        name = _below(self.folder, path, row)
        if not (self.folder / name).is_file():
            name = self._tree.otherwise(name)
        if name in self._row_of:
            raise BadRows(f"rows {self._row_of[name]} and {row} both name {path}. Remove one")
        self._row_of[name] = row
        if not (self.folder / name).is_file():
            self._missing.append((row, path))
            if len(self._missing) == MOST_MISSING:
                self.found()

    def found(self) -> tuple[Path, ...]:
        """The files of all rows.

        Raises:
            BadRows: some are not there.
        """
        _require_none(self._missing, self._tree)
        return tuple(self.folder / name for name in self._row_of)


def _require_none(missing: Sequence[tuple[int, str]], tree: _Tree) -> None:
    if not missing:
        return
    row, path = missing[0]
    near = tree.in_other_case(path)
    way_out = f"Row {row} may mean {near}" if near else "Correct the paths"
    if len(missing) == 1:
        way_out = f"Write {near}" if near else "Correct the path"
        raise BadRows(f"row {row} names {path}, and there is no such file. {way_out}")
    reason = some([f"row {row} {path}" for row, path in missing])
    count = f"{len(missing)} files" if len(missing) < MOST_MISSING else "Many files"
    raise BadRows(f"{count} are not there: {reason}. {way_out}")


def _below(folder: Path, path: str, row: int) -> str:
    """The path from the folder on.

    Raises:
        BadRows: it is not below the folder.
    """
    if ADDRESS.match(path):
        raise BadRows(
            f"row {row} has path '{path}', an address, and nothing is fetched. "
            "Download the files and name them"
        )
    name = os.path.normpath(path) if path else ""
    if os.path.isabs(name):
        name = _relative(folder, name)
    whole = os.path.isabs(name) or DRIVE.match(name)
    if whole or name in ("", ".") or _first_part(name) == "..":
        tail = _tail(folder, path)
        raise BadRows(
            f"row {row} has path '{path}', which is no file below the table's folder. "
            f"Give paths relative to it{f', here {tail}' if tail else ''}"
        )
    return name


def _relative(folder: Path, name: str) -> str:
    """A whole path from the folder on, itself where it is not below it."""
    for root in (str(folder), os.path.realpath(folder)):
        for file in (name, os.path.realpath(name)):
            if file.startswith(root.rstrip(os.sep) + os.sep):
                return os.path.relpath(file, root)
    return name


def _first_part(name: str) -> str:
    return name.replace("\\", "/").split("/")[0]


class _Tree:
    """The names below a folder, each folder listed once and only when asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._names: dict[tuple[Path, Callable[[str], str]], dict[str, str]] = {}

    def otherwise(self, name: str) -> str:
        """The name with slashes, or with accents as on the disk, where there is such a file."""
        slashed = os.path.normpath(name.replace("\\", "/"))
        if _first_part(slashed) == "..":
            return name
        if (self.folder / slashed).is_file():
            return slashed
        return self._spelled(slashed, composed) or name

    def in_other_case(self, path: str) -> str | None:
        """The file that the path names but for upper and lower case."""
        return self._spelled(path.replace("\\", "/"), str.casefold)

    def _spelled(self, name: str, alike: Callable[[str], str]) -> str | None:
        """The file of that name, of whose parts only what `alike` gives is compared."""
        here = self.folder
        for part in name.split("/"):
            found = self._listed(here, alike).get(alike(part))
            if found is None:
                return None
            here = here / found
        return str(here.relative_to(self.folder)) if here.is_file() else None

    def _listed(self, folder: Path, alike: Callable[[str], str]) -> dict[str, str]:
        key = folder, alike
        if key not in self._names:
            names = sorted(os.listdir(folder)) if folder.is_dir() else []
            self._names[key] = {alike(name): name for name in names}
        return self._names[key]


def _tail(folder: Path, path: str) -> str | None:
    """The longest end of a path that is a file below the folder."""
    parts = path.replace("\\", "/").split("/")
    ends = ("/".join(parts[k:]) for k in range(1, len(parts)))
    return next((end for end in ends if ".." not in end and (folder / end).is_file()), None)
