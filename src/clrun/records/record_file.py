"""run.json as a file: how a run ended can be written where there is no room for a new file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clrun.disk.files import write_all, write_text
from clrun.disk.json_text import json_pieces
from clrun.disk.secrets import hidden
from clrun.errors import StorageError

ROOM = 1024
"""Spaces at the end of the record of a run that goes on, for what is known at its end."""


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """Write the record, whole or not at all.

    Without room for another file, the record of a run that ended is written over the old one, whose
    place on the disk it has. A crash in just that moment would leave neither.

    Raises:
        StorageError: the disk is full, read-only or broken; the old record is intact.
    """
    goes_on = record.get("status") == "running"
    try:
        write_text(path, _text(record) + (ROOM * " " + "\n" if goes_on else ""))
    except StorageError:
        if goes_on or not _is_written_over(path, record):
            raise


def _is_written_over(path: Path, record: Mapping[str, Any]) -> bool:
    """Write the record into the file that is there; whether it could be done."""
    try:
        handle = os.open(path, os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return False
    try:
        size = os.fstat(handle).st_size
        content = _fitting(record, size).encode()
        if len(content) > size:
            return False
        write_all(handle, content.ljust(size))
        os.fsync(handle)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


def _fitting(record: Mapping[str, Any], size: int) -> str:
    """The record's text, with less of a long error if that is needed for so many bytes."""
    text, error = _text(record), record.get("error")
    while len(text) > size and isinstance(error, str) and error:
        error = error[: len(error) * 3 // 4]  # its letters take one to twelve bytes each
        text = _text({**record, "error": f"{error}..."})
    return text


def _text(record: Mapping[str, Any]) -> str:
    return "".join(json_pieces(hidden(record))) + "\n"
