"""What one task of a Slurm array is: a worker, stopped and queued again when its time is over.

submitit pickles this object, and only this: the folder of a sweep, how many jobs run at a time, and
whether they run although their numbers will differ.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from clrun.disk.files import write_json
from clrun.sweep.endings import SIGNALLED
from clrun.sweep.engines.bound import bound, worker_words
from clrun.sweep.folder import SweepFolder

GRACE_SECONDS = 600.0
"""How long a task waits after SIGTERM for the SIGKILL that follows it. One that ended by itself
would be over for Slurm, which then does not queue it again; where none follows, it goes on."""

MOST_DEATHS = 30
"""So often a worker that was killed by a signal is started again in the same task: more often than
a job may be what kills it (`verdict.MOST_DEATHS`), so that the other jobs are done."""


class Pilot:
    """Runs `clrun worker SWEEP`; called by submitit in a task of its own."""

    def __init__(self, sweep: str, jobs: int, *, force: bool) -> None:
        self.sweep, self.jobs, self.force = sweep, jobs, force
        self._pid: int | None = None
        self._is_told = False

    def __call__(self) -> None:
        """Run workers until one says that nothing is left, or that it failed.

        Raises:
            SystemExit: with its code, where that is not 0.
        """
        ended = self._ended_file()
        ended.unlink(missing_ok=True)
        before = signal.signal(signal.SIGTERM, self._on_term)  # submitit would pass it over
        try:
            code = self._run_workers()
        finally:
            signal.signal(signal.SIGTERM, before)
        write_json(ended, {"code": code})
        if code:
            sys.exit(code)

    def checkpoint(self) -> Any:
        """Stop the worker, its jobs' states saved; what submitit shall queue in this one's place.

        Called by its handler of SIGUSR2, in the midst of `__call__`.
        """
        from submitit.helpers import DelayedSubmission

        self._stop_worker()
        if self._pid is not None:
            _wait(self._pid)
        return DelayedSubmission(Pilot(self.sweep, self.jobs, force=self.force))

    def _run_workers(self) -> int:
        """Run workers, one after the other, until one ends by itself; the exit code."""
        deaths = 0
        while True:
            code = self._run_worker()
            if self._is_told:  # Slurm ends the task now, if it means to
                time.sleep(GRACE_SECONDS)
                self._is_told = False
            elif code < 0 and deaths < MOST_DEATHS:
                deaths += 1
            else:
                return SIGNALLED - code if code < 0 else code

    def _run_worker(self) -> int:
        """Run a worker to its end; its exit code, negative for a signal."""
        words = worker_words(self.sweep, self.jobs, force=self.force)
        process = subprocess.Popen(bound(words))
        self._pid = process.pid
        if self._is_told:  # between two workers
            os.kill(process.pid, signal.SIGTERM)
        _wait(process.pid)
        self._pid = None
        return process.wait()

    def _on_term(self, _number: int, _frame: object) -> None:
        self._stop_worker()

    def _stop_worker(self) -> None:
        """Tell the worker to save its jobs' states and to end; once, for the second is a hurry."""
        if not self._is_told:
            self._is_told = True
            if self._pid is not None:
                os.kill(self._pid, signal.SIGTERM)

    def _ended_file(self) -> Path:
        from submitit import JobEnvironment

        return ended_file(Path(self.sweep), JobEnvironment().job_id)


def ended_file(sweep: Path, job: str) -> Path:
    """Where a task says that it ended by itself."""
    return SweepFolder(sweep).inner("slurm", f"{job}_ended.json")


def _wait(pid: int) -> None:
    """Wait for a child, and leave it for `Popen.wait`, whose lock a handler must not want."""
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
