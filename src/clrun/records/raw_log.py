"""metrics.jsonl: everything measured during a run, one JSON object a line, in order."""

from __future__ import annotations

import json
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
    ) -> None:
        """One line: kind (step, epoch, experience, eval, memory, resource), place, values.

        `iteration` counts updates since the start of the run.
        """
        place = {"experience": experience, "epoch": epoch, "iteration": iteration}
        seconds = round(time.monotonic() - self._start, 6)
        line = json.dumps({"kind": kind, **place, "seconds": seconds, **values}, allow_nan=False)
        with phase("write"), storage_errors(self.path):
            self._file.write(line + "\n")
            self._file.flush()

    def close(self) -> None:
        with storage_errors(self.path):  # tries again to write what could not be written
            self._file.close()


def read_raw_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a raw log; a last line cut off by a crash is left out."""
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1]]
