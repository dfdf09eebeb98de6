"""Where a run is, by the end of its raw log: a few kB of it are read, however long it is."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from clrun.disk.opening import open_regular

FIRST_LOOKS = (2**16, 2**20)
"""Bytes before the end in which the last evaluation is looked for; the second ones only if it is
not in the first."""


class LogEnd(NamedTuple):
    """What the end of a raw log says."""

    experience: int | None
    """None before training began"""
    epoch: int | None
    """of the last line, whose epochs may go on; None where the line is about an experience"""
    accuracy: float | None
    """mean over the experiences so far, after the last evaluation; None before there is one"""
    experiences: int | None
    """of the stream, where an evaluation says it"""
    seconds: float
    """of the run, when the last line was written"""
    written: float
    """when that was, by the file's own time"""
    inherited: tuple[int, int | None] | None = None
    """(experience, epoch) of the last line that stands there from a run which this one goes on from
    (`"shared": true`); None without one"""


NOTHING = LogEnd(None, None, None, None, 0.0, 0.0)


class LogTail:
    """Reads what was added to a raw log since it was read last."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset: int | None = None
        self._end = NOTHING

    def read(self) -> LogEnd | None:
        """Where the run is; None while it has no log."""
        try:
            with open_regular(self._path) as file:
                status = os.fstat(file.fileno())
                if self._offset is None or status.st_size < self._offset:  # cut at a resume
                    self._end = NOTHING
                    self._look_first(file, status.st_size)
                else:
                    self._read_on(file, self._offset, status.st_size)
        except OSError:
            return None
        self._end = self._end._replace(written=status.st_mtime)
        return self._end

    def _look_first(self, file: Any, size: int) -> None:
        for bytes_before in FIRST_LOOKS:
            start = max(size - bytes_before, 0)
            self._read_on(file, start, size, is_within_line=start > 0)
            if start == 0 or self._end.accuracy is not None:
                return

    def _read_on(self, file: Any, start: int, size: int, *, is_within_line: bool = False) -> None:
        """Take in the whole lines from here on; of very much, what is last."""
        if size - start > FIRST_LOOKS[-1]:
            start, is_within_line = size - FIRST_LOOKS[-1], True
        file.seek(start)
        content = file.read(size - start)
        whole = content.rfind(b"\n") + 1
        self._offset = start + whole
        lines = content[:whole].split(b"\n")[:-1]
        for line in lines[1:] if is_within_line else lines:
            self._take(line)

    def _take(self, text: bytes) -> None:
        try:
            line = json.loads(text)
            seconds, experience = float(line["seconds"]), line["experience"]
        except (ValueError, LookupError, TypeError):  # a crash of the machine may leave such a one
            return
        self._end = self._end._replace(seconds=seconds)
        if isinstance(experience, int):
            epoch = line.get("epoch")
            self._end = self._end._replace(experience=experience, epoch=epoch)
            if line.get("shared") is True:
                self._end = self._end._replace(inherited=(experience, epoch))
        if line.get("kind") == "eval" and isinstance(line.get("accuracy"), list):
            self._end = self._end._replace(**_evaluated(line["accuracy"], experience))


def _evaluated(row: Sequence[object], experience: int | None) -> Mapping[str, Any]:
    so_far = row[: (experience or 0) + 1]
    known = [value for value in so_far if isinstance(value, int | float)]
    found: dict[str, Any] = {"experiences": len(row)}
    if experience is not None and known:
        found["accuracy"] = sum(known) / len(known)
    return found
