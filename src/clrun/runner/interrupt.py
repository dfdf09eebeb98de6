"""Stopping when a signal asks for it: between two updates, or soon wherever the run is."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from clrun.errors import ClrunError

SIGNALS = (signal.SIGINT, signal.SIGTERM)

GRACE_SECONDS = 1.0
"""How long a run may go on until the end of its update; an evaluation can take minutes."""


Handler = Callable[[int, object], None]


class Interrupted(ClrunError):
    """A signal arrived; the exit code is 128 plus its number."""

    def __init__(self, number: int, done: str = "") -> None:
        """`done` is a sentence about what was done until then."""
        super().__init__(number, done)
        self.number, self.exit_code = number, 128 + number

    def __str__(self) -> str:
        said = f"interrupted by {signal.Signals(self.number).name}."
        return " ".join([said, *filter(None, self.args[1:])])


class Stop(BaseException):
    """A signal that ends everything around a run too. No Exception: those end one job of many."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def noted_signals() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM instead of dying inside an update.

    A second one stops at once, as does the end of the grace.
    """
    received: list[int] = []

    def note(number: int, _frame: object) -> None:
        if received:
            raise Interrupted(number)
        received.append(number)
        _alarm(GRACE_SECONDS)

    def end_grace(_number: int, _frame: object) -> None:
        raise Interrupted(received[0])

    around = signal.getsignal(SIGNALS[0])
    with _handled({**dict.fromkeys(SIGNALS, note), **_alarms(end_grace)}):
        try:
            yield received
        finally:
            _alarm(0)
    if received and isinstance(around, RaisedSignals):  # too late to stop what was inside
        around.late = received[0]


def raise_noted(received: list[int]) -> None:
    """Raise `Interrupted` if a signal was collected; what is saved then has all the time it needs.

    Raises:
        Interrupted: there is one.
    """
    if received:
        _alarm(0)
        raise Interrupted(received[0])


class RaisedSignals:
    """A handler of signals that raises `Stop`."""

    late: int | None = None
    """what a run received when it was as good as over, and completed nevertheless"""

    def __call__(self, number: int, _frame: object) -> None:
        raise Stop(number)

    def raise_late(self) -> None:
        """Raise `Stop` if a run left a signal behind."""
        if self.late is not None:
            raise Stop(self.late)


@contextmanager
def stopped_by_signals() -> Iterator[RaisedSignals]:
    """Raise `Stop` inside, and outside `Interrupted`, at once where SIGINT or SIGTERM arrives."""
    handler = RaisedSignals()
    try:
        with _handled(dict.fromkeys(SIGNALS, handler)):
            yield handler
    except Stop as stop:
        raise Interrupted(stop.number) from None


@contextmanager
def _handled(handlers: Mapping[int, Handler]) -> Iterator[None]:
    """Handle signals so inside. Not in the main thread they are the caller's."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _alarms(handler: Handler) -> dict[int, Handler]:
    return {signal.SIGALRM: handler} if hasattr(signal, "SIGALRM") else {}  # Windows has none


def _alarm(seconds: float) -> None:
    """Let the system send SIGALRM after so many seconds; 0 is never."""
    if hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread():
        signal.setitimer(signal.ITIMER_REAL, seconds)
