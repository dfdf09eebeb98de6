"""metrics.jsonl: everything measured during a run, one JSON object a line, in order."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from clrun.disk.files import storage_errors
from clrun.profiling.spans import phase


class RawLog:
    """Appends lines; each reaches the operating system before the next is written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._start = time.monotonic()
        with storage_errors(path):
            self._file = path.open("a", encoding="utf-8")

    def write(
        self, kind: str, *, experience: int | None, epoch: int | None, iteration: int, **values: Any
    ) -> dict[str, Any]:
        """Append one line: kind (step, epoch, experience, eval, memory, resource), place, values.

        `iteration` counts updates since the start of the run. Returns what the line holds.
        """
        place = {"experience": experience, "epoch": epoch, "iteration": iteration}
        line = {"kind": kind, **place, "seconds": round(self._seconds(), 6), **values}
        text = json.dumps(line, allow_nan=False)
        with phase("write"), storage_errors(self.path):
            self._file.write(text + "\n")
            self._file.flush()
        return line

    def state_dict(self) -> dict[str, Any]:
        """Where the log ends: its bytes, and the seconds since it was begun."""
        with storage_errors(self.path):
            return {"offset": os.stat(self._file.fileno()).st_size, "seconds": self._seconds()}

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
        """Close the file; what could not be written yet is tried again."""
        with storage_errors(self.path):
            self._file.close()

    def _seconds(self) -> float:
        return time.monotonic() - self._start


def read_raw_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a raw log; a last line cut off by a crash is left out."""
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1]]
