"""Removing runs that failed: none that runs, completed or can be a job of a sweep, no link, nothing
outside the folder that was named, and no folder that holds something else, such as other runs."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from clrun.disk import locks
from clrun.disk.files import storage_error
from clrun.disk.locks import LockedElsewhere
from clrun.records.planted import WRITTEN
from clrun.records.run_folder import DIED, LOCK, is_job, run_status
from clrun.sweep.outcomes import FAILED
from clrun.watch.entries import Entry

REMOVABLE = (FAILED, DIED)

OF_LOGGERS = ("wandb", "mlflow")
"""What loggers keep in a run's folder beside what a run writes there."""


def removable(entries: Sequence[Entry]) -> list[Entry]:
    """The single runs that failed or died. What becomes of a sweep's jobs is the sweep's matter,
    which tries them again."""
    alone = [entry for entry in entries if not entry.is_sweep and entry.status in REMOVABLE]
    return [entry for entry in alone if not is_job(entry.folder)]


def remove(folder: Path, top: Path) -> str | None:
    """Remove the folder of a run below `top`; why it was left, or None.

    Raises:
        StorageError: a part of it cannot be removed.
    """
    if folder.is_symlink() or top.resolve() not in folder.resolve().parents:
        return "is a link, or lies elsewhere"
    try:
        lock = locks.take(folder / LOCK)
    except LockedElsewhere:
        return "somebody goes on with it just now"
    except OSError as error:
        return f"cannot be locked: {error.strerror or error}"
    try:
        status = _status(folder)
        if status not in REMOVABLE or is_job(folder):
            return f"is {status} by now"
        if others := _not_its_own(folder):
            more = f" and {len(others) - 1:,} more" if len(others) > 1 else ""
            return f"holds {others[0]}{more}, which no run writes"
        _remove(folder)
    finally:
        lock.release()
    _tidy(folder, top)
    return None


def _status(folder: Path) -> str | None:
    """The status of a run whose lock is held here."""
    status = run_status(folder)
    return DIED if status == "running" else status


def _not_its_own(folder: Path) -> list[str]:
    """What lies in the folder of a run and is not the run's: hydra.run.dir may name any folder, one
    with other runs in it as well."""
    own = (*WRITTEN, *OF_LOGGERS)
    cut_off = tuple(f".{name}." for name in own)  # half written when the run died
    return sorted(
        name
        for name in os.listdir(folder)
        if not (name in own or name.startswith(cut_off) or name.endswith(".log"))
    )


def _remove(folder: Path) -> None:
    """Remove all of a folder. Under another name at first: half a run would be taken for one."""
    aside = folder.with_name(f".removed-{secrets.token_hex(4)}")
    try:
        os.rename(folder, aside)
        shutil.rmtree(aside)  # follows no link
    except OSError as error:
        raise storage_error(error, aside if aside.exists() else folder) from error


def _tidy(folder: Path, top: Path) -> None:
    """Remove the day's folder if nothing is left in it, and `latest` if it leads nowhere now."""
    with suppress(OSError):
        if folder.parent != top:
            folder.parent.rmdir()
    for parent in folder.parents:
        latest = parent / "latest"
        if latest.is_symlink() and not latest.exists():
            with suppress(OSError):
                latest.unlink()
        if parent == top:
            return
