"""Nothing is written through what somebody else put into a run folder.

A link under a name that a run writes to would lead the log, or a state, over another file.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from clrun.disk.opening import kind_of
from clrun.errors import FolderError

WRITTEN = frozenset(
    {
        *(".hydra", ".lock", "checkpoints", "clrun.log", "metrics.csv", "metrics.jsonl"),
        *("plots", "profile", "tensorboard"),
        *("accuracy_matrix.csv", "report.html", "results.json", "run.json"),
        *("multirun.yaml", "sweep.csv", "sweep.json", "sweep.jsonl", "index.sqlite", ".sweep"),
    }
)
"""Files and folders that a run or a sweep writes; what else lies in its folder is the user's."""


def require_own_names(path: Path) -> None:
    """Refuse a folder in which a name that a run writes to is a link or no file of its own.

    Raises:
        FolderError: with the first such name.
    """
    for entry in _written(path):
        reason = _reason(entry)
        if reason:
            name = os.path.relpath(entry.path, path)
            raise FolderError(f"{path}: {name} {reason}, and is not written to. Take it away.")


def _written(path: Path) -> Iterator[os.DirEntry[str]]:
    """The entries of the folder, and of folders in it, that a run would write to."""
    for entry in _entries(path):
        if entry.name not in WRITTEN and not entry.name.endswith(".log"):
            continue
        yield entry
        if entry.is_dir(follow_symlinks=False):
            yield from _entries(Path(entry.path))


def _entries(path: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:  # not there, or not to be read: whoever writes says so
        return []


def _reason(entry: os.DirEntry[str]) -> str | None:
    """Why the entry may not be written to."""
    status = os.lstat(entry.path)
    if stat.S_ISDIR(status.st_mode):
        return None
    if not stat.S_ISREG(status.st_mode):
        return f"is {kind_of(status.st_mode)}"
    return "is another file's second name (a hard link)" if status.st_nlink > 1 else None
