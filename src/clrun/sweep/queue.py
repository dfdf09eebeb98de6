"""Which unit a worker takes next. No torch here."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from clrun.disk import locks
from clrun.disk.locks import LockedElsewhere
from clrun.sweep.outcomes import JobOutcome, outcome_at
from clrun.sweep.pool import stream_of
from clrun.sweep.unit import Unit

if TYPE_CHECKING:
    from filelock import BaseFileLock


@dataclass(frozen=True)
class Taken:
    """A unit whose lease this worker has."""

    unit: Unit
    lease: BaseFileLock
    before: JobOutcome | None
    """what earlier attempts came to"""


class Queue:
    """The units that are not over, in the order in which one worker takes them.

    Units that train on the same data come one after the other, and among them those of one seed,
    so that few data are in memory.
    What cannot be taken now, since another worker has it or it needs another unit, is set aside.
    """

    def __init__(self, units: Iterable[Unit], *, retry_failed: bool) -> None:
        self._retry_failed = retry_failed
        groups: dict[str, dict[int, list[Unit]]] = {}
        for unit in units:
            of_seeds = groups.setdefault(stream_of(unit), {})
            of_seeds.setdefault(unit.config["root"]["seed"], []).append(unit)
        self._streams: dict[str, str] = {}
        self._fresh: deque[Unit] = deque()
        for stream, of_seeds in groups.items():
            for unit in chain.from_iterable(of_seeds.values()):
                self._streams[unit.name] = stream
                self._fresh.append(unit)
        self._left = Counter(self._streams.values())
        self._aside: deque[Unit] = deque()
        self._mine: set[str] = set()
        self._over: dict[str, JobOutcome] = {}

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left for any worker."""
        return not self._fresh and not self._aside

    def has(self, stream: str) -> bool:
        """Whether a unit that has not been looked at trains on these data."""
        return self._left[stream] > 0

    def look_again(self) -> None:
        """Look at what was set aside, too, and first."""
        self._left.update(self._streams[unit.name] for unit in self._aside)
        self._fresh.extendleft(reversed(self._aside))
        self._aside.clear()

    def over(self, taken: Taken, outcome: JobOutcome) -> None:
        """This worker does nothing more for the unit, and others may have it."""
        self._mine.discard(taken.unit.name)
        self._over[taken.unit.name] = outcome
        taken.lease.release()

    def next(self) -> Taken | None:
        """A unit to start; None where there is none now."""
        while self._fresh:
            unit = self._fresh.popleft()
            self._left[self._streams[unit.name]] -= 1
            if self._end_of(unit) is not None:
                continue
            wanted = self._wanted(unit)
            taken = self._taken(wanted)
            if taken is None or wanted is not unit:
                self._aside.append(unit)
            if taken is not None:
                return taken
        return None

    def _wanted(self, unit: Unit) -> Unit:
        """The unit, or what must be over before. Where that failed, the unit does its part too:
        whether it fails as well is for its own record to say."""
        while unit.needs is not None and self._end_of(unit.needs) is None:
            unit = unit.needs
        return unit

    def _taken(self, unit: Unit) -> Taken | None:
        if unit.name in self._mine:
            return None
        try:
            lease = locks.take(unit.lease, patience=0)
        except LockedElsewhere:
            return None
        if self._end_of(unit) is not None:  # meanwhile
            lease.release()
            return None
        self._mine.add(unit.name)
        return Taken(unit, lease, outcome_at(unit.outcome))

    def _end_of(self, unit: Unit) -> JobOutcome | None:
        """How a unit ended that is over."""
        if unit.name in self._over:
            return self._over[unit.name]
        outcome = outcome_at(unit.outcome)
        if outcome is None or not outcome.is_over(retry_failed=self._retry_failed):
            return None
        return outcome
