"""Leases of jobs: held by one worker at a time, and given back by the system when it dies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clrun.disk import locks
from clrun.disk.locks import LockedElsewhere
from clrun.sweep.folder import SweepFolder


class Leased(Exception):
    """Another worker has the job; the message names it where that is known."""


@contextmanager
def lease(sweep: Path, number: int) -> Iterator[None]:
    """Hold the lease of a job.

    Raises:
        Leased: another worker, on this host or another, has it now.
    """
    try:
        held = locks.take(SweepFolder(sweep).lease(number))
    except LockedElsewhere as error:
        raise Leased(str(error)) from None
    try:
        yield
    finally:
        held.release()


def is_leased(sweep: Path, number: int) -> bool:
    """Whether some worker has the job now."""
    return not locks.is_free(SweepFolder(sweep).lease(number))
