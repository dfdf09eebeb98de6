"""Stopping between two updates when a signal asks for it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from clrun.errors import ClrunError

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(ClrunError):
    """A signal arrived; the exit code is 128 plus its number."""

    def __init__(self, number: int) -> None:
        self.exit_code = 128 + number
        super().__init__(f"interrupted by {signal.Signals(number).name}.")


@contextmanager
def noted_signals() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM instead of dying inside an update; a second one stops at once."""
    received: list[int] = []

    def note(number: int, _frame: object) -> None:
        if received:
            raise Interrupted(number)
        received.append(number)

    try:
        before = {number: signal.signal(number, note) for number in SIGNALS}
    except ValueError:  # not in the main thread: signals are the caller's
        yield received
        return
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
