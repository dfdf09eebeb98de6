"""metrics.csv: what a run measured as one table, a row a line of metrics.jsonl, a column a number.

Columns come as the run has numbers for them, and stay in that order; the file is written again
then, a few times in a run. An empty cell was not measured in that line.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clrun.config.bounds import Switch
from clrun.disk.files import write_all, write_bytes
from clrun.disk.opening import open_own, read_bytes
from clrun.loggers.logger import Line, LoggedRun
from clrun.loggers.numbers import PLACE, numbers

LARGEST = 2**32
"""Bytes of a table that is written again for more columns"""


class CsvTable:
    """A table for a spreadsheet or pandas."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        steps: Switch

    def __init__(self, config: Config) -> None:
        self.config = config
        self._columns: dict[str, None] = {}
        self._path = Path()
        self._file: io.FileIO | None = None

    def begin(self, run: LoggedRun, lines: Iterable[Line]) -> None:
        """Write the table of the lines so far, over one that an earlier process left."""
        self._run, self._path = run, run.folder / "metrics.csv"
        self._file = open_own(self._path, "wb")
        for line in lines:
            self.write(line)

    def write(self, line: Line) -> None:
        """Add a row."""
        if line["kind"] == "step" and not self.config.steps:
            return
        found = numbers(line, self._run)
        new = [name for name in found if name not in self._columns]
        if new or not self._columns:
            self._widen(new)
        place = (line[name] for name in PLACE)
        self._append(_row([*place, *(found.get(name) for name in self._columns)]))

    def end(self, status: str) -> None:
        if self._file is not None:
            self._file.close()

    def _widen(self, new: Sequence[str]) -> None:
        """Write the table again with more columns, which earlier rows have nothing in."""
        assert self._file is not None, "begun"
        self._file.close()
        rows = read_bytes(self._path, most=LARGEST).splitlines()[1:]
        self._columns |= dict.fromkeys(new)
        header = _row([*PLACE, *self._columns])
        empty = b"," * len(new) + b"\n"
        write_bytes(self._path, header + b"".join(row + empty for row in rows))
        self._file = open_own(self._path, "ab")

    def _append(self, row: bytes) -> None:
        assert self._file is not None, "begun"
        write_all(self._file.fileno(), row)


def _row(values: Sequence[Any]) -> bytes:
    """A row; a number as JSON has it, so that it is read back as it was."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue().encode()
