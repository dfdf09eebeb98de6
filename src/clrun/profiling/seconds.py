"""How long something took: on the clock, and of the processor. No torch here."""

from __future__ import annotations

import time
from typing import NamedTuple


class Seconds(NamedTuple):
    """A moment, or the time between two."""

    wall: float = 0.0
    cpu: float = 0.0
    """of all threads of this process"""

    @classmethod
    def now(cls) -> Seconds:
        """The moment; it means something beside another one of this process alone."""
        return cls(time.perf_counter(), time.process_time())

    def since(self, earlier: Seconds) -> Seconds:
        """The time from an earlier moment to this one."""
        return Seconds(self.wall - earlier.wall, self.cpu - earlier.cpu)

    def plus(self, other: Seconds) -> Seconds:
        """Both times together."""
        return Seconds(self.wall + other.wall, self.cpu + other.cpu)
