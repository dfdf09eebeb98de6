"""What a worker, its holders and their jobs say to each other."""

from __future__ import annotations

from dataclasses import dataclass

from clrun.sweep.unit import Unit


@dataclass(frozen=True, kw_only=True)
class Begin:
    """To a holder: run this unit."""

    unit: Unit
    slot: int
    """the place among the units that run at the same time, which says its GPU"""
    force: bool = False
    """although its numbers will differ from those it was to give"""


@dataclass(frozen=True)
class Send:
    """To a holder: let the unit's process have this signal."""

    name: str
    number: int


@dataclass(frozen=True)
class Note:
    """From a job: what is worth a line, and no error."""

    name: str
    """of the unit"""
    text: str


@dataclass(frozen=True)
class Done:
    """From a holder: the unit's process has ended."""

    name: str
    code: int
    """its exit code; negative: the signal that ended it"""
    reason: str | None = None
    """what it said itself of a failure, in one line"""
    trace: str | None = None
    """the traceback of what failed before it had a process, and so a log"""
