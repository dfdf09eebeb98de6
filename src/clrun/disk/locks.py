"""Locks between processes that die with their holder, however that ends.

They are the system's own (`filelock` knows each system's), never a file whose being there means
"locked": such a file survives a process that was killed.
"""

from __future__ import annotations

import errno
import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from clrun.disk.opening import open_own, read_text, require_own

if TYPE_CHECKING:
    from filelock import BaseFileLock

POLL_SECONDS = 0.1
"""How often a waiting process is shown what the holder does."""

GLANCE_SECONDS = 0.1
"""How long a lock that is held may be held by one who only looks (`require_free`)."""


class LockedElsewhere(Exception):
    """Another process holds the lock; the message names it where that is known."""


def take(path: Path, patience: float = GLANCE_SECONDS) -> BaseFileLock:
    """Hold the lock file at `path` until `release()`, or until this process ends.

    Without patience, one who only looks at it (`is_free`) is taken for one who holds it.

    Raises:
        LockedElsewhere: another process holds it now.
        OSError: the file cannot be made, is somebody else's link, or its disk has no locks.
    """
    holder = _holder(path)
    lock = _lock(path)
    if not _acquired(lock, patience):
        raise LockedElsewhere(holder)
    since = datetime.now(UTC).isoformat(timespec="seconds")
    holds = f"process {os.getpid()} on {platform.node()} since {since}"
    with suppress(OSError), open_own(path, "wb") as file:  # a courtesy to whoever is refused
        file.write(holds.encode())
    return lock


def require_free(path: Path) -> None:
    """Refuse a lock that somebody holds now, and change nothing, the file's times included.

    Raises:
        LockedElsewhere: another process holds it, or this one does.
    """
    holder = _holder(path)
    with suppress(OSError):  # who takes it hears of that
        if not is_free(path):
            raise LockedElsewhere(holder)


def is_free(path: Path, *, glance: float = GLANCE_SECONDS) -> bool:
    """Whether nobody holds the lock, neither another process nor this one; nothing changes.

    With `glance=0` no time is lost at a lock that is held, if only by another one who looks.

    Raises:
        OSError: that cannot be seen from here.
    """
    if not path.exists():
        return True
    lock = _lock(path)
    is_mine = _acquired(lock, glance)
    if is_mine:
        lock.release()
    return is_mine


@contextmanager
def locked(path: Path, while_waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the lock file at `path`, which is gone afterwards; others wait.

    `while_waiting` is called again and again while another process holds it.

    Raises:
        OSError: the file cannot be made, is somebody else's link, or its disk has no locks.
    """
    lock = _lock(path)
    while not _acquired(lock, POLL_SECONDS):
        if while_waiting:
            while_waiting()
    try:
        yield
    finally:
        with suppress(PermissionError):  # Windows keeps an open file's name
            path.unlink(missing_ok=True)
        lock.release()


def _lock(path: Path) -> BaseFileLock:
    """The lock of this file, which is ours: what a link led to would be emptied or made."""
    from filelock import FileLock  # 60 ms, which a help text need not wait for

    require_own(path)
    return FileLock(path, thread_local=False)


def _acquired(lock: BaseFileLock, seconds: float) -> bool:
    """Whether the lock is held now; one that would outlive this process is refused."""
    from filelock import SoftFileLock, Timeout

    try:
        lock.acquire(timeout=seconds, poll_interval=POLL_SECONDS / 8)
    except Timeout:
        return False
    if isinstance(lock, SoftFileLock):  # what filelock makes of a disk without locks
        lock.release()
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
    return True


def _holder(path: Path) -> str:
    """The process that took the lock last, as it named itself; empty where it did not."""
    try:
        return read_text(path, most=4096)
    except (OSError, UnicodeDecodeError):
        return ""
