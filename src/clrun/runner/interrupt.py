"""Stopping between two updates when a signal asks for it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from clrun.errors import ClrunError

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(ClrunError):
    """A signal arrived; the exit code is 128 plus its number."""

    def __init__(self, number: int, done: str = "") -> None:
        """`done` is a sentence about what was done until then."""
        super().__init__(number, done)
        self.number, self.exit_code = number, 128 + number

    def __str__(self) -> str:
        said = f"interrupted by {signal.Signals(self.number).name}."
        return " ".join([said, *filter(None, self.args[1:])])


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
