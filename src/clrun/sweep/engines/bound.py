"""Run a command that ends when its parent does: `python -m clrun.sweep.engines.bound PID WORD...`

A worker that outlived the task it belongs to would use what is no longer its own. On Linux the
system sends it SIGTERM, upon which it saves the states of its jobs; other systems have no such
thing. SIGUSR2, with which Slurm warns every process of a task, is left to the task alone: the
worker is told by SIGTERM, once.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

SET_PARENT_DEATH_SIGNAL = 1
"""PR_SET_PDEATHSIG of Linux' prctl.h."""


def bound(words: Sequence[str]) -> list[str]:
    """The command that runs these words so, as a child of this process."""
    return [sys.executable, "-m", __name__, str(os.getpid()), *words]


def worker_words(sweep: str, jobs: int, *, force: bool) -> list[str]:
    """The command of a worker that runs so many jobs at a time."""
    words = [sys.executable, "-m", "clrun", "worker", sweep, "--slots", str(jobs)]
    return [*words, "--force"] if force else words


def main(parent: int, words: Sequence[str]) -> None:
    """Become the command."""
    if hasattr(signal, "SIGUSR2"):  # what is ignored stays so in the command
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):  # Ray blocks SIGINT in what it starts
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SET_PARENT_DEATH_SIGNAL, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:  # it went before the system knew
            sys.exit(128 + signal.SIGTERM)
    os.execv(words[0], list(words))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
