"""Small JSON files of ours that are believed only while they are what was written."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from clrun.disk.files import write_json
from clrun.disk.opening import read_text


def write_checked_json(path: Path, value: Any) -> None:
    """Write JSON with its checksum, whole or not at all.

    Raises:
        StorageError: it cannot be written; the old content is intact.
    """
    write_json(path, {"sha256": _sha256(value), "content": value})


def read_checked_json(path: Path) -> Any:
    """What was written; None where there is nothing, or not what was written."""
    try:
        found = json.loads(read_text(path))
        return found["content"] if found["sha256"] == _sha256(found["content"]) else None
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None


def _sha256(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
