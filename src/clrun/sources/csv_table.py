"""A table of image files: columns path and label, optional split and experience."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from clrun.config.bounds import Count, FilePath, Share
from clrun.errors import did_you_mean
from clrun.sources.labelled_files import FileRows, LabelledFiles
from clrun.sources.labelled_rows import (
    BadRows,
    LabelledRows,
    numbered_classes,
    numbered_experiences,
    own_root,
    with_test_rows,
)

NEEDED = ("path", "label")
OPTIONAL = ("split", "experience")
SIDES = ("train", "test")
MOST_EXPERIENCES = 1 << 31


class Csv(LabelledFiles):
    """Image files named in a comma-separated table, as `find_in_table` reads it."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        data_root: FilePath | None
        test_fraction: Share | None
        image_size: Count | None
        channels: Literal[1, 3] | None

    def __init__(self, config: Config) -> None:
        missing = "name the table, e.g. benchmark.data_root=photos/labels.csv"
        root = own_root(config.data_root, missing)
        find = partial(find_in_table, root, config.test_fraction)
        super().__init__("csv", root, find, config.image_size, config.channels)


def find_in_table(table: Path, test_fraction: float | None) -> FileRows:
    """The rows of a comma-separated UTF-8 table; paths start at the table's folder.

    Rows are counted from 1, the header not counted. Columns of other names are not read.

    Raises:
        BadRows: the header, a row or a cell is not as it must be, or a file is missing, named
            twice, or outside the table's folder.
        OSError: the table cannot be read.
    """
    columns = _columns(table)
    files = _files(table.parent, columns["path"])
    names, y = numbered_classes(columns["label"])
    is_test = torch.zeros(len(y), dtype=torch.bool)
    if "split" in columns:
        is_test = _sides(columns["split"], test_fraction)
    rows = LabelledRows(names, y, is_test)
    if "experience" in columns:
        given = _whole_numbers(columns["experience"])
        rows = replace(rows, experience=numbered_experiences(given, rows))
    if "split" not in columns:
        rows = with_test_rows(rows, test_fraction)
    return FileRows(files, rows)


def _columns(table: Path) -> dict[str, list[str]]:
    """The cells of each column that is read, without blanks around them."""
    if not table.exists():
        raise BadRows("there is no such file. Name a .csv file with columns path and label")
    if table.is_dir():
        raise BadRows("is a folder. Name a .csv file, or use benchmark=folder")
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            lines = list(csv.reader(file, strict=True))
    except UnicodeDecodeError as error:
        raise BadRows(f"is not UTF-8 text (byte {error.start}). Save it as UTF-8") from error
    except csv.Error as error:
        raise BadRows(f"is no comma-separated table ({error}). Save it again") from error
    header = [cell.strip().lower() for cell in lines[0]] if lines else []
    _check_header(header)
    rows = [line for line in lines[1:] if line]  # a blank line is an empty list
    if not rows:
        raise BadRows("has a header and no rows. Add some")
    for k, row in enumerate(rows, 1):
        if len(row) != len(header):
            raise BadRows(
                f"row {k} has {len(row)} cells, and the header {len(header)}. "
                "Put cells that hold a comma in quotes"
            )
    cells = dict(zip(header, zip(*rows, strict=True), strict=True))
    wanted = [name for name in (*NEEDED, *OPTIONAL) if name in cells]
    return {name: [cell.strip() for cell in cells[name]] for name in wanted}


def _check_header(header: Sequence[str]) -> None:
    if not header:
        raise BadRows("is empty. Its first line must name the columns path and label")
    for delimiter, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if len(header) == 1 and delimiter in header[0]:
            raise BadRows(f"has {name} between its columns. Use commas")
    if len(set(header)) < len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise BadRows(f"has two columns {twice}. Remove one")
    for name in NEEDED:
        if name not in header:
            others = [column for column in header if column not in (*NEEDED, *OPTIONAL)]
            near = next((column for column in others if did_you_mean(column, [name])), None)
            guess = f" Is it '{near}'?" if near else ""
            raise BadRows(
                f"has no column {name}, only {', '.join(header)}.{guess} "
                "Its first line must name the columns path and label"
            )


def _files(folder: Path, paths: Sequence[str]) -> tuple[Path, ...]:
    """Each path below the table's folder; links are followed as the user made them."""
    row_of: dict[str, int] = {}
    for k, path in enumerate(paths, 1):
        clean = os.path.normpath(path)
        if not path or os.path.isabs(clean) or clean.split(os.sep)[0] in ("..", "."):
            raise BadRows(
                f"row {k} has path '{path}', which is no file below the table's folder. "
                "Give paths relative to it"
            )
        if clean in row_of:
            raise BadRows(f"rows {row_of[clean]} and {k} both name {path}. Remove one")
        row_of[clean] = k
        if not (folder / clean).is_file():
            raise BadRows(f"row {k} names {path}, and there is no such file. Correct the path")
    return tuple(folder / clean for clean in row_of)


def _sides(cells: Sequence[str], test_fraction: float | None) -> Tensor:
    """Whether each row is for testing. -> [N] bool"""
    if test_fraction is not None:
        raise BadRows(
            f"benchmark.test_fraction={test_fraction} is given, and there is a column split. "
            "Use benchmark.test_fraction=null, or take the column out"
        )
    for k, cell in enumerate(cells, 1):
        if cell.lower() not in SIDES:
            raise BadRows(f"row {k} has split '{cell}'. Use train or test")
    return torch.tensor([cell.lower() == "test" for cell in cells])


def _whole_numbers(cells: Sequence[str]) -> Tensor:
    """The experience of each row, -1 for an empty cell. -> [N] int64"""
    for k, cell in enumerate(cells, 1):
        if cell and not (cell.isdecimal() and int(cell) < MOST_EXPERIENCES):
            raise BadRows(f"row {k} has experience '{cell}'. Use whole numbers from 0 on")
    return torch.tensor([int(cell) if cell else -1 for cell in cells], dtype=torch.int64)
