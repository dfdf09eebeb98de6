"""What a worker did, line by line: `.sweep/log/<host>-<process>.jsonl`."""

from __future__ import annotations

import json
import os
import platform
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from clrun.disk.files import storage_errors, write_all
from clrun.disk.opening import open_own, open_regular
from clrun.sweep.folder import SweepFolder


class WorkerLog:
    """Appends a line for each process that was started, and for each that ended."""

    def __init__(self, sweep: Path) -> None:
        name = f"{platform.node()}-{os.getpid()}.jsonl"
        self._path = SweepFolder(sweep).inner("log", name)
        with storage_errors(self._path):
            self._file = open_own(self._path, "ab")

    def write(self, event: str, unit: str, **values: Any) -> None:
        """Append a line, whole."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"at": at, "event": event, "unit": unit, **values})
        with storage_errors(self._path):
            write_all(self._file.fileno(), f"{line}\n".encode())

    def close(self) -> None:
        self._file.close()


def starts(sweep: Path) -> Counter[str]:
    """How many processes were started for each unit of a sweep, as its workers have written."""
    folder = SweepFolder(sweep)
    found = Counter[str]()
    for name in folder.inner_names("log"):
        with suppress(OSError), open_regular(folder.inner("log", name)) as file:
            found.update(filter(None, map(_started, file)))
    return found


def _started(line: bytes | str) -> str | None:
    """The unit of which a line says that a process was started for it."""
    try:
        entry = json.loads(line)
        return str(entry["unit"]) if entry["event"] == "started" else None
    except (ValueError, TypeError, LookupError):  # the last line of a worker that was killed
        return None
