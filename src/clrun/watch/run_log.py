"""What a run's log says of it so far, read on where it was read to: each look takes as long as what
was written since."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from clrun.disk.opening import open_regular
from clrun.records.results import Row

Line = Mapping[str, Any]

AT_ONCE = 2**20
"""Bytes that are read at once"""

STEP = b'{"kind": "step"'
"""How the lines of updates begin, which are most; the last ones tell all that is shown of them."""

RECENT = 30
"""Updates' lines that the throughput is from"""


@dataclass
class Seen:
    """What the lines so far say."""

    matrix: dict[int, Row] = field(default_factory=dict)
    """experience -> the accuracies after it was learnt"""
    last: Line = field(default_factory=dict)
    step: Line = field(default_factory=dict)
    """the last line of an update"""
    memory: Line = field(default_factory=dict)
    resource: Line = field(default_factory=dict)
    rows_an_update: float | None = None
    """on average until the last evaluation, rows of the memory included"""
    is_at_once: bool = False
    """one experience stands for the whole stream, as in joint training"""
    stream: str = "test"
    """whose rows the accuracies are of"""
    widest: int = 0
    """experiences that an evaluation was of"""
    epoch_began: int = 0
    """updates before the epoch that is trained now"""
    epoch_updates: int | None = None
    """of an epoch of this experience, or else of the one before"""
    steps: deque[Line] = field(default_factory=lambda: deque(maxlen=RECENT))
    """without anything between them"""
    evaluated: int = 0
    """evaluations at ends of experiences"""

    def take(self, line: Line) -> None:
        """Take in a line; any value of it may be missing, or none of ours."""
        kind, self.last = line["kind"], line
        if kind == "step":
            self.step = line
            self.steps.append(line)
            return
        if kind == "epoch":
            self.epoch_updates = line["iteration"] - self.epoch_began
            self.epoch_began = line["iteration"]
            return
        self.steps.clear()
        if kind in ("memory", "resource"):
            setattr(self, kind, line)
        elif kind == "eval":
            self._take_evaluation(line)

    def _take_evaluation(self, line: Line) -> None:
        accuracies = line.get("accuracy")
        self.stream = str(line.get("stream", "test"))
        if line.get("patterns_seen") and line["iteration"]:
            self.rows_an_update = line["patterns_seen"] / line["iteration"]
        if isinstance(line["experience"], int):
            self.is_at_once = line.get("seen", 0) > line["experience"] + 1
        if isinstance(accuracies, Sequence):
            self.widest = max(self.widest, len(accuracies))
            if isinstance(line["experience"], int) and line["epoch"] is None:
                self.matrix[line["experience"]] = accuracies
                self.evaluated += 1

    def images_per_second(self, minibatch: int | None) -> float | None:
        """Rows trained on in a second, about, by the last updates; None before there are enough.

        `minibatch`: the rows of an update, before an evaluation says how many these are.
        """
        if len(self.steps) < 2:
            return None
        first, last = self.steps[0], self.steps[-1]
        seconds = last["seconds"] - first["seconds"]
        rows = self.rows_an_update or minibatch or 0
        updates = last["iteration"] - first["iteration"]
        return updates * rows / seconds if seconds > 0 and rows else None


class RunLog:
    """Reads a raw log, and what is added to it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self.seen = Seen()
        self.written: float | None = None
        """when the last line was, by the file's own time"""

    def look(self) -> bool:
        """Read what is new; whether there was anything."""
        try:
            with open_regular(self._path) as file:
                status = os.fstat(file.fileno())
                if status.st_size < self._offset:  # cut at a resume
                    self._offset, self.seen = 0, Seen()
                is_new = status.st_size > self._offset
                while self._offset < status.st_size and self._read(file, status.st_size):
                    pass
                self.written = status.st_mtime
        except OSError:
            return False
        return is_new

    def _read(self, file: BinaryIO, size: int) -> bool:
        """Take in the whole lines of the next part; whether there were any."""
        file.seek(self._offset)
        content = file.read(min(size - self._offset, AT_ONCE))
        whole = content.rfind(b"\n") + 1
        if not whole and len(content) == AT_ONCE:  # a line of many classes
            whole = len(content + (rest := file.readline()))
            content += rest
        self._offset += whole
        lines = content[:whole].split(b"\n")[:-1]
        steps = [index for index, line in enumerate(lines) if line.startswith(STEP)]
        passed = set(steps[:-RECENT])
        for index, line in enumerate(lines):
            if index not in passed:
                self._take(line)
        return whole > 0

    def _take(self, text: bytes) -> None:
        try:
            line = json.loads(text)
            float(line["seconds"]), int(line["iteration"])
            self.seen.take(line)
        except (ValueError, LookupError, TypeError, AttributeError):
            return  # a crash of the machine may leave such a line
