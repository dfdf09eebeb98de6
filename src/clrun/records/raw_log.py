"""metrics.jsonl: everything measured during a run, one JSON object a line, in order."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from clrun.disk.files import require_same, storage_errors, write_all
from clrun.disk.opening import open_own, open_regular
from clrun.profiling.spans import phase

LOOK_SECONDS = 1.0
"""Between two looks whether the file is still there, at least; each takes some microseconds."""


class RawLog:
    """Appends lines; each reaches the operating system, whole, before the next is written."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._start = self._looked = time.monotonic()
        with storage_errors(path):
            self._file = open_own(path, "ab")

    def write(
        self, kind: str, *, experience: int | None, epoch: int | None, iteration: int, **values: Any
    ) -> dict[str, Any]:
        """Append one line: kind (step, epoch, experience, eval, memory, resource), place, values.

        `iteration` counts updates since the start of the run. Returns what the line holds.

        Raises:
            StorageError: the line cannot be written, and no part of it is; or the file is gone.
        """
        place = {"experience": experience, "epoch": epoch, "iteration": iteration}
        line = {"kind": kind, **place, "seconds": round(self.seconds(), 6), **values}
        text = json.dumps(line, allow_nan=False) + "\n"
        with phase("write"), storage_errors(self.path):
            if kind != "step" or time.monotonic() - self._looked >= LOOK_SECONDS:
                self._look()
            self._append(text.encode())
        return line

    def begin_with(self, lines: bytes) -> None:
        """Begin a log without a line with those of another one.

        Raises:
            StorageError: they cannot be written, and no part of them is.
        """
        with storage_errors(self.path):
            self._append(lines)

    def sync(self) -> None:
        """Wait until every line is on the disk."""
        with storage_errors(self.path):
            os.fsync(self._file.fileno())

    def state_dict(self) -> dict[str, Any]:
        """Where the log ends: its bytes, and the seconds since it was begun."""
        with storage_errors(self.path):
            self._look()
            return {"offset": os.stat(self._file.fileno()).st_size, "seconds": self.seconds()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Cut the log where it ended then, and go on from there.

        Raises:
            StorageError: the log is shorter than that.
        """
        offset = int(state["offset"])
        with storage_errors(self.path):
            size = os.stat(self._file.fileno()).st_size
            if size < offset:
                raise OSError(f"has {size} bytes, and had {offset} when the state was saved")
            self._file.truncate(offset)
        self._start = time.monotonic() - state["seconds"]

    def close(self) -> None:
        """Close the file."""
        with storage_errors(self.path):
            self._file.close()

    def _look(self) -> None:
        """Notice that the file went: on most systems it can still be written to, and is lost."""
        require_same(self.path, os.fstat(self._file.fileno()))
        self._looked = time.monotonic()

    def _append(self, line: bytes) -> None:
        handle = self._file.fileno()
        end = os.fstat(handle).st_size
        try:
            write_all(handle, line)
        except OSError:
            with suppress(OSError):  # a part of a line helps nobody
                os.ftruncate(handle, end)
            raise

    def seconds(self) -> float:
        """Since the run began, by a clock that is never set; the time between two processes of a
        run that was resumed is left out."""
        return time.monotonic() - self._start


def read_raw_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a raw log; a last line cut off by a crash is left out, whatever is in it."""
    with open_regular(path) as file:
        lines = file.read().split(b"\n")
    return [json.loads(line) for line in lines[:-1]]
