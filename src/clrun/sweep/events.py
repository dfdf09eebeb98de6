"""What a worker says while it works: to the live display, or to a line of text for each job.

A unit of work is a job, or a part that several jobs share (`number` is None). For each a worker
says `Started` once for each attempt, `Retried` when an attempt died and another will follow, and
`Ended` once. All of it is said in the worker's own process, one event after the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from clrun.sweep.outcomes import JobOutcome


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something happened to a unit of work."""

    name: str
    """the unit's own, unlike that of any other in this sweep"""
    number: int | None
    """that of its job; None where it is a part that jobs share"""
    folder: Path
    """its run folder, absolute"""


@dataclass(frozen=True, kw_only=True)
class Started(Event):
    """A process was started for it, or it goes on from a saved state."""

    attempt: int = 1
    """counts the processes that were started for it, over all workers"""


@dataclass(frozen=True, kw_only=True)
class Retried(Event):
    """Its process died, and it goes on in another one: `Started` follows, maybe later."""

    reason: str
    """in one line"""
    attempt: int
    """the one that died"""


@dataclass(frozen=True, kw_only=True)
class Noted(Event):
    """Its run found something worth a line, which no other unit of this worker did before."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Ended(Event):
    """Nothing more is done for it by this worker."""

    outcome: JobOutcome
    """as its outcome file has it: completed, failed or interrupted"""


OnEvent = Callable[[Event], None]
"""Called in the worker's process, between two things it does; must return at once."""
