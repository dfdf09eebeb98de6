"""Which of many runs are meant: by status, by age, by what a key is set to."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from clrun.watch.entries import Entry

Picks = Callable[[Entry], bool]

AGES = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def with_status(states: Sequence[str]) -> Picks:
    """Runs that are in one of these states; sweeps one of whose jobs is."""
    return lambda entry: not set(states).isdisjoint(entry.statuses)


def since(text: str, now: datetime | None = None) -> Picks:
    """Runs that were started since a day (2026-11-28), a moment (2026-11-28T14:00), both by the
    clock of this place, or so long ago (90m, 12h, 7d, 2w).

    Raises:
        ValueError: it is none of these.
    """
    first = _moment(text, now or datetime.now(UTC))

    def picks(entry: Entry) -> bool:
        try:
            started = datetime.fromisoformat(entry.started)
        except ValueError:
            return False
        return started.replace(tzinfo=started.tzinfo or UTC) >= first

    return picks


def where(text: str) -> Picks:
    """Runs with KEY=VALUE, such as strategy=replay or strategy.lr=0.1; sweeps with such a job.

    Raises:
        ValueError: it has no such form.
    """
    key, equals, value = text.partition("=")
    if not (equals and key):
        raise ValueError(f"{text}: write KEY=VALUE, e.g. strategy=replay or seed=3")
    return lambda entry: any(_same(value, known) for known in entry.values(key))


def _same(typed: str, known: str) -> bool:
    """Whether two values mean the same: 1e-1 is 0.1."""
    if typed == known:
        return True
    try:
        return float(typed) == float(known)
    except ValueError:
        return False


def _moment(text: str, now: datetime) -> datetime:
    try:
        if age := re.fullmatch(r"(\d{1,6})([mhdw])", text):
            return now - timedelta(**{AGES[age[2]]: int(age[1])})
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text}: write a day (2026-11-28), a moment (2026-11-28T14:00) or an age (12h, 7d)"
        ) from None
