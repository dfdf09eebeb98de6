"""What a worker did, line by line: `.sweep/log/<host>-<process>.jsonl`."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from clrun.disk.files import storage_errors, write_all
from clrun.disk.opening import open_own
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
