"""How long the rest of a sweep takes, from how long its jobs took."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple


class Going(NamedTuple):
    """A job that runs."""

    kind: str
    seconds: float
    """since it began here"""
    done: float
    """the share of it that is done, in [0, 1]"""
    before: float = 0.0
    """the share that was done when it began here: of what was interrupted, or is shared"""
    is_resumed: bool = False
    """was interrupted, so that what is left of it is less than others of its kind take"""


class TimeLeft:
    """Seconds left by what was measured.

    Jobs of a kind, which differ in their seeds alone, take as long as each other; of a kind that
    was not met yet, as long as all on average.
    """

    def __init__(self, kinds: Sequence[str]) -> None:
        self._pending = Counter(kinds)
        self._measured: dict[str, tuple[float, int]] = {}
        """kind -> the mean of its seconds, over so many jobs"""

    def ended(self, kind: str, seconds: float | None) -> None:
        """Count a job as done, and its seconds if it ran from its beginning to its end."""
        if self._pending[kind]:
            self._pending[kind] -= 1
        if seconds is not None:
            mean, count = self._measured.get(kind, (0.0, 0))
            self._measured[kind] = mean + (seconds - mean) / (count + 1), count + 1

    def now(self, running: Sequence[Going] = (), slots: int = 1) -> float | None:
        """Seconds until all are done, if so many run at a time; None where nothing can be said."""
        known = {job.kind: 1 / _pace(job) for job in running if _pace(job)}
        known |= {kind: mean for kind, (mean, _) in self._measured.items()}
        pending = self._pending - Counter(job.kind for job in running)
        if not known:
            return None if running or pending else 0.0
        average = statistics.fmean(known.values())

        def seconds(job: Going) -> float:
            left = self.left(job)
            whole = known.get(job.kind, average)
            return max(whole - job.seconds, 0.0) if left is None else left

        current = [seconds(job) for job in running]
        waiting = sum(count * known.get(kind, average) for kind, count in pending.items())
        return max([(sum(current) + waiting) / slots, *current])

    def left(self, job: Going) -> float | None:
        """Seconds until a running job is done: by others of its kind while it takes no longer than
        they did, else by what is done of it; None where there is neither."""
        usual, _ = self._measured.get(job.kind, (0.0, 0))
        if usual > job.seconds and not job.is_resumed:
            return usual - job.seconds
        return (1 - job.done) / _pace(job) if _pace(job) else None


def _pace(job: Going) -> float:
    """The share of a job that is done in a second; 0 where that is not known yet."""
    return max(job.done - job.before, 0.0) / job.seconds if job.seconds > 0 else 0.0
