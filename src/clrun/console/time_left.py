"""How long the rest of a sweep takes, from how long its jobs took."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence


class TimeLeft:
    """Seconds left by what was measured.

    Jobs of a kind, which differ in their seed alone, take as long as each other; of a kind that
    was not met yet, as long as all on average.
    """

    def __init__(self, kinds: Sequence[str]) -> None:
        self._pending = list(kinds)
        self._measured: dict[str, list[float]] = defaultdict(list)

    def ended(self, kind: str, seconds: float | None) -> None:
        """Count a job as done, and its seconds if it ran to its end."""
        if kind in self._pending:
            self._pending.remove(kind)
        if seconds is not None:
            self._measured[kind].append(seconds)

    def now(self, kind: str | None = None, seconds: float = 0.0, done: float = 0.0) -> float | None:
        """Seconds until all are done; a job of this kind is this share done after `seconds`.

        None where nothing can be said yet.
        """
        pending, current = list(self._pending), 0.0
        measured = {name: statistics.fmean(values) for name, values in self._measured.items()}
        if kind in pending and done > 0:
            pending.remove(kind)
            current = seconds * (1 - done) / done
            measured.setdefault(kind, seconds / done)
        if not measured:
            return None if pending else current
        usual = statistics.fmean(measured.values())
        return current + sum(measured.get(name, usual) for name in pending)
