"""A table of image files: columns path and label, optional split, experience and group."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from clrun.config.bounds import Count, FilePath, Fraction, Share
from clrun.disk.opening import UnusualFile, open_regular
from clrun.errors import did_you_mean
from clrun.sources.class_names import BadRows, folded
from clrun.sources.labelled_files import FileRows, LabelledFiles, all_files, whole_files
from clrun.sources.labelled_rows import (
    LabelledRows,
    check_groups_whole,
    numbered_classes,
    numbered_experiences,
    own_root,
    with_test_rows,
    with_validation_groups,
)
from clrun.sources.sides import side_of
from clrun.sources.table_paths import Paths

NEEDED = ("path", "label")
OPTIONAL = ("split", "experience", "group")
MOST_EXPERIENCES = 1 << 31
MOST_CHARACTERS = 1_000_000
"""In a line."""


class Csv(LabelledFiles):
    """Image files named in a comma-separated table, as `find_in_table` reads it."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        data_root: FilePath | None
        test_fraction: Share | None
        validation_fraction: Fraction
        image_size: Count | None
        channels: Literal[1, 3] | None
        damaged: Literal["refuse", "skip"]

    def __init__(self, config: Config) -> None:
        missing = "name the table, e.g. benchmark.data_root=photos/labels.csv"
        root = own_root(config.data_root, missing)
        choose = whole_files if config.damaged == "skip" else all_files
        find = partial(
            find_in_table, root, config.test_fraction, config.validation_fraction, choose
        )
        super().__init__("csv", root, find, config.image_size, config.channels, can_skip=True)


def find_in_table(
    table: Path,
    test_fraction: float | None,
    validation_fraction: float = 0.0,
    choose: Callable[[FileRows], FileRows] = all_files,
) -> FileRows:
    """The rows of a comma-separated UTF-8 table; paths start at the table's folder.

    Rows are counted from 1, the header not counted. Columns of other names are not read. Rows of
    one group stay on one side, also of those that are set aside here. `choose` says which files are
    taken, before any are set aside.

    Raises:
        BadRows: the header, a row or a cell is not as it must be, or a file is missing, named
            twice, or outside the table's folder.
        OSError: the table cannot be read.
    """
    read = _columns(table)
    files, columns = read.paths.found(), read.cells
    names, y = numbered_classes(columns["label"])
    rows = LabelledRows(names, y, torch.zeros(len(y), dtype=torch.bool))
    if "group" in columns:
        rows = replace(rows, group=_groups(columns["group"]))
    if "split" in columns:
        rows = _with_sides(rows, columns["split"], test_fraction, validation_fraction)
    if "experience" in columns:
        given = _whole_numbers(columns["experience"])
        rows = replace(rows, experience=numbered_experiences(given, rows))
    found = choose(FileRows(files, rows))
    rows = found.rows
    if "split" not in columns:
        rows = with_test_rows(rows, test_fraction)
    if rows.group is not None and validation_fraction and not rows.has_validation:
        rows = with_validation_groups(rows, validation_fraction)
    return found._replace(rows=rows)


class _Columns:
    """The cells of each column that is read, without blanks around them, row by row.

    What is wrong with a row is said when it is read: a table of millions of rows that all name one
    file takes no more time and memory than its second row.
    """

    def __init__(self, folder: Path, header: Sequence[str]) -> None:
        self.header = header
        self.paths = Paths(folder)
        self.cells: dict[str, list[str]] = {
            name: [] for name in ("label", *OPTIONAL) if name in header
        }
        self._places = {name: header.index(name) for name in self.cells}
        self._path = header.index("path")
        self._equal: dict[str, str] = {}

    def add(self, row: Sequence[str], number: int) -> None:
        """Read a row, counted from 1."""
        if len(row) != len(self.header):
            raise BadRows(
                f"row {number} has {len(row)} cells, and the header {len(self.header)}. "
                "Put cells that hold a comma in quotes"
            )
        self.paths.add(row[self._path].strip(), number)
        for name, place in self._places.items():
            cell = row[place].strip()
            self.cells[name].append(self._equal.setdefault(cell, cell))


def images_in(table: Path) -> tuple[Path, ...]:
    """The files that the column path of a table names; it need have no other.

    Raises:
        BadRows, OSError: see `find_in_table`.
    """
    return _columns(table, ("path",)).paths.found()


def _columns(table: Path, needed: Sequence[str] = NEEDED) -> _Columns:
    lines = _lines(table)
    header = [cell.strip().lower() for cell in next(lines, [])]
    _check_header(header, needed)
    columns, number = _Columns(table.parent, header), 0
    for number, row in enumerate(filter(None, lines), 1):  # a blank line is an empty list
        columns.add(row, number)
    if not number:
        raise BadRows("has a header and no rows. Add some")
    return columns


def _lines(table: Path) -> Iterator[list[str]]:
    """The lines of a comma-separated UTF-8 table, cell by cell."""
    try:
        with open_regular(table) as file:
            text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
            yield from csv.reader(_bounded(text), strict=True)
    except (FileNotFoundError, NotADirectoryError):
        missing = "there is no such file. Name a .csv file with columns path and label"
        raise BadRows(missing) from None
    except UnusualFile as error:
        way_out = "Name a .csv file, or use benchmark=folder"
        reason = "is a folder" if table.is_dir() else error.strerror
        raise BadRows(f"{reason}. {way_out}") from None
    except UnicodeDecodeError as error:
        raise BadRows(f"is not UTF-8 text (byte {error.start}). Save it as UTF-8") from error
    except csv.Error as error:
        raise BadRows(f"is no comma-separated table ({error}). Save it again") from error


def _bounded(text: io.TextIOWrapper) -> Iterator[str]:
    """The lines of a text, none of them without end."""
    while line := text.readline(MOST_CHARACTERS):
        if len(line) == MOST_CHARACTERS:
            raise BadRows(
                f"has a line of {MOST_CHARACTERS:,} characters or more, which no table has. "
                "Save it again"
            )
        yield line


def _check_header(header: Sequence[str], needed: Sequence[str]) -> None:
    if not header:
        raise BadRows(f"is empty. Its first line must name the columns {' and '.join(needed)}")
    for delimiter, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if len(header) == 1 and delimiter in header[0]:
            raise BadRows(f"has {name} between its columns. Use commas")
    if len(set(header)) < len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise BadRows(f"has two columns {twice}. Remove one")
    for name in needed:
        if name not in header:
            others = [column for column in header if column not in (*NEEDED, *OPTIONAL)]
            near = next((column for column in others if did_you_mean(column, [name])), None)
            guess = f" Is it '{near}'?" if near else ""
            raise BadRows(
                f"has no column {name}, only {', '.join(header)}.{guess} "
                f"Its first line must name the columns {' and '.join(needed)}"
            )


def _with_sides(
    rows: LabelledRows,
    cells: Sequence[str],
    test_fraction: float | None,
    validation_fraction: float,
) -> LabelledRows:
    """The rows on the sides that the table says.

    Without a row for testing, those of validation are for it.
    """
    sides = [side_of(cell) for cell in cells]
    if None in sides:
        k = sides.index(None)
        raise BadRows(f"row {k + 1} has split '{cells[k]}'. Use train, val or test")
    if "test" not in sides:
        sides = ["test" if side == "validation" else side for side in sides]
    for key, fraction, nothing, side in (
        ("test_fraction", test_fraction, "null", None),
        ("validation_fraction", validation_fraction, "0", "validation"),
    ):
        if fraction and (side is None or side in sides):
            reason = "there is a column split" if side is None else "the column split has val"
            raise BadRows(
                f"benchmark.{key}={fraction} is given, and {reason}. "
                f"Use benchmark.{key}={nothing}, or take the column out"
            )
    is_test, is_validation = (
        torch.tensor([side == wanted for side in sides]) for wanted in ("test", "validation")
    )
    found = replace(rows, is_test=is_test, is_validation=is_validation)
    if found.group is not None:
        check_groups_whole(found)
    return found


def _groups(cells: Sequence[str]) -> Tensor:
    """The group of each row; an empty cell is a group of its own. [N] int64"""
    names = [folded(cell) or f"\0{k}" for k, cell in enumerate(cells)]
    number = {name: k for k, name in enumerate(dict.fromkeys(names))}
    return torch.tensor([number[name] for name in names], dtype=torch.int64)


def _whole_numbers(cells: Sequence[str]) -> Tensor:
    """The experience of each row, -1 for an empty cell. -> [N] int64"""
    for k, cell in enumerate(cells, 1):
        if cell and not (cell.isdecimal() and int(cell) < MOST_EXPERIENCES):
            raise BadRows(f"row {k} has experience '{cell}'. Use whole numbers from 0 on")
    return torch.tensor([int(cell) if cell else -1 for cell in cells], dtype=torch.int64)
