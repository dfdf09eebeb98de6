"""Processes that end when the one they work for does, however that ended."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from multiprocessing import connection
from typing import Any

STARTER = "CLRUN_STARTED_BY"
"""The variable that says which process starts this one: of a fork server its worker, of all that
the server forks the server."""

SET_PARENT_DEATH_SIGNAL = 1
"""PR_SET_PDEATHSIG of Linux' prctl.h."""


def die_with_starter() -> None:
    """Let the system kill this process as soon as the one that started it is gone.

    That may be so already. Other systems than Linux do not offer it.
    """
    die_with_parent(int(os.environ.get(STARTER, os.getppid())))


def die_with_parent(parent: int) -> None:
    """As `die_with_starter`, of a process that was forked by this one."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(SET_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it went before the system knew
        os._exit(1)


def die_with(process: Any) -> None:
    """End this process as soon as that one is gone, where the system does not do it."""
    if sys.platform != "linux":
        threading.Thread(target=_wait, args=(process.sentinel,), daemon=True).start()


def die_with_writer(end: int) -> None:
    """End this process once nobody has the other end of a pipe, where the system does not do it.

    For a process that was forked without `exec` by the one that has that end.
    """
    if sys.platform != "linux":
        threading.Thread(target=_wait, args=(end,), daemon=True).start()


def _wait(end: int) -> None:
    connection.wait([end])
    os.kill(os.getpid(), signal.SIGKILL)
