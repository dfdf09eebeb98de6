"""A lock between processes that dies with its holder, however that ends."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

POLL_SECONDS = 0.1


@contextmanager
def locked(path: Path, while_waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the lock file at `path`, which is gone afterwards; others wait.

    `while_waiting` is called again and again while another process holds it.
    """
    lock = _acquired(path, while_waiting)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        lock.close()


def _acquired(path: Path, while_waiting: Callable[[], None] | None) -> IO[str]:
    """The lock file, held; never one that its last holder has already taken away."""
    while True:
        lock = path.open("w")
        try:
            _wait(lock, while_waiting)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(lock.fileno()), path.stat()):
                    return lock
        except BaseException:
            lock.close()
            raise
        lock.close()


def _wait(lock: IO[str], while_waiting: Callable[[], None] | None) -> None:
    if while_waiting is None:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            while_waiting()
            time.sleep(POLL_SECONDS)
