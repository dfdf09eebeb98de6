"""Stopping when a signal asks for it: between two updates, or at once where nothing is lost by it.

The first signal is noted. An update in progress is waited for, so that a state can be saved after
it; what says that it is stoppable (`activity.doing`) is left at once. A second Ctrl-C leaves
whatever there is. Where Python is inside one long call of a library, each of these waits for its
end: handlers run between two instructions.
"""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

from clrun.errors import ClrunError
from clrun.profiling.activity import is_stoppable

NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")
SIGNALS = tuple(
    getattr(signal, name)
    for name in NAMES
    if hasattr(signal, name)  # Windows has two of them
)

GRACE_SECONDS = 8.0
"""How long a run may go on until the end of its update. Whoever sends signals expects a process to
be gone after ten seconds: then the last checkpoint stands."""

LOOK_SECONDS = 0.1
"""How often it is looked whether what has begun since the signal is stoppable."""

SAME_SECONDS = 0.3
"""What comes within this time is the same wish: a shell that forwards what the terminal has sent
to all of its group, `timeout`, which sends to a process and to its group."""


Handler = Callable[[int, object], None]


class Interrupted(ClrunError):
    """A signal arrived; the exit code is 128 plus its number."""

    def __init__(self, number: int, *done: str, anywhere: bool = False) -> None:
        """`done` are sentences: what was done until then, and how to go on. `anywhere`: it was
        raised wherever the run was, so that something may be half done."""
        super().__init__(number, *done)
        self.number, self.exit_code, self.anywhere = number, 128 + number, anywhere

    def __str__(self) -> str:
        said = f"interrupted by {signal.Signals(self.number).name}."
        return " ".join([said, *filter(None, self.args[1:])])

    @property
    def brief(self) -> str:
        """What was done until then, without where it lies and how to go on."""
        return str(Interrupted(self.number, *self.args[1:2]))


class Stop(BaseException):
    """A signal that ends everything around a run too. No Exception: those end one job of many."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class _Hasty:
    """Tells a second Ctrl-C from what is only the echo of a signal."""

    def __init__(self) -> None:
        self._last: float | None = None

    def is_second(self, number: int) -> bool:
        """Whether this signal is a second Ctrl-C; it is noted."""
        last, self._last = self._last, time.monotonic()
        is_later = last is not None and self._last - last > SAME_SECONDS
        return number == signal.SIGINT and is_later


class _Noting:
    """A handler that notes the first signal and ends what must not or need not be waited for."""

    def __init__(self) -> None:
        self.received: list[int] = []
        self.is_saving = False
        self._hasty = _Hasty()
        self._latest = 0.0

    def __call__(self, number: int, _frame: object) -> None:
        if self._hasty.is_second(number) and self.received:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # the third one is the system's
            raise Interrupted(number, anywhere=True)
        if not self.received:
            self.received.append(number)
            self._latest = time.monotonic() + GRACE_SECONDS
            _alarm(LOOK_SECONDS)
            self.look(number, None)

    def look(self, _number: int, _frame: object) -> None:
        """Leave what is stoppable, or anything once the grace is over."""
        if self.is_saving or not (is_stoppable() or time.monotonic() > self._latest):
            return
        self._latest = time.monotonic() + GRACE_SECONDS  # what cleans up has its time
        raise Interrupted(self.received[0], anywhere=True)


_noting: _Noting | None = None
"""the one in charge"""


@contextmanager
def noted_signals() -> Iterator[list[int]]:
    """Collect signals instead of dying inside an update. Within another such block it is the same.

    A second Ctrl-C stops at once, as does the end of the grace.
    """
    global _noting
    if _noting is not None or threading.current_thread() is not threading.main_thread():
        yield [] if _noting is None else _noting.received
        return
    noting, around = _Noting(), signal.getsignal(signal.SIGINT)
    with _handled({**dict.fromkeys(SIGNALS, noting), **_alarms(noting.look)}):
        try:
            _noting = noting
            yield noting.received
        finally:
            _noting = None
            _alarm(0)
    if noting.received and isinstance(around, RaisedSignals):  # too late to stop what was inside
        around.late = noting.received[0]


def raise_noted(received: list[int]) -> None:
    """Raise `Interrupted` if a signal was collected.

    Raises:
        Interrupted: there is one.
    """
    if received:
        _alarm(0)
        raise Interrupted(received[0])


def look() -> None:
    """Raise `Interrupted` if a run has collected a signal.

    Raises:
        Interrupted: it has.
    """
    if _noting is not None:
        raise_noted(_noting.received)


@contextmanager
def unhurried() -> Iterator[None]:
    """Let what is inside, a state that is saved, have all the time it needs: only a second Ctrl-C
    ends it."""
    noting = _noting
    if noting is None:
        yield
        return
    noting.is_saving = True
    try:
        yield
    finally:
        noting.is_saving = False


class RaisedSignals:
    """A handler of signals that raises `Stop`."""

    late: int | None = None
    """what a run received when it was as good as over, and completed nevertheless"""

    def __init__(self) -> None:
        self._hasty, self._is_stopping = _Hasty(), False

    def __call__(self, number: int, _frame: object) -> None:
        if self._hasty.is_second(number) or not self._is_stopping:
            self._is_stopping = True
            raise Stop(number)

    def raise_late(self) -> None:
        """Raise `Stop` if a run left a signal behind."""
        if self.late is not None:
            raise Stop(self.late)


class CollectedSignals:
    """A handler that collects signals for a loop that waits for `woken`, among other things.

    A second Ctrl-C raises `Stop` wherever the loop is.
    """

    def __init__(self) -> None:
        self._received: list[int] = []
        self._hasty = _Hasty()
        self.woken, self._wake = os.pipe()
        """can be read once there is a signal"""
        os.set_blocking(self._wake, False)

    def __call__(self, number: int, _frame: object) -> None:
        if self._hasty.is_second(number) and self._received:
            raise Stop(number)
        self._received.append(number)
        with suppress(BlockingIOError):  # it will wake up all the same
            os.write(self._wake, b".")

    @property
    def first(self) -> int | None:
        """The signal that was received first; None: there was none."""
        return self._received[0] if self._received else None

    def heard(self) -> None:
        """Let `woken` wait for the next signal."""
        os.read(self.woken, 4096)

    def close(self) -> None:
        os.close(self.woken)
        os.close(self._wake)


@contextmanager
def collected_signals() -> Iterator[CollectedSignals]:
    """Collect signals inside instead of stopping at once."""
    handler = CollectedSignals()
    try:
        with _handled(dict.fromkeys(SIGNALS, handler)):
            yield handler
    finally:
        handler.close()


@contextmanager
def stopped_by_signals() -> Iterator[RaisedSignals]:
    """Raise `Stop` inside, and outside `Interrupted`, at once where a signal arrives."""
    handler = RaisedSignals()
    try:
        with _handled(dict.fromkeys(SIGNALS, handler)):
            yield handler
    except Stop as stop:
        raise Interrupted(stop.number) from None


def leave() -> None:
    """Let an interrupted process end soon, and without a word at more signals.

    Python would search for garbage first, for a second or more.
    """
    gc.freeze()
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


OURS = (_Noting, RaisedSignals, CollectedSignals)


@contextmanager
def _handled(handlers: Mapping[int, Handler]) -> Iterator[None]:
    """Handle signals so inside. Not in the main thread they are the caller's."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        number: signal.signal(number, handler)
        for number, handler in handlers.items()
        if not _is_kept(number)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_kept(number: int) -> bool:
    """Whether a signal is left as it is.

    `nohup` ignores SIGHUP. What a program around a run does at SIGHUP, SIGUSR1 and SIGUSR2, a job
    system's part for one, it goes on doing. SIGINT, which a shell without a terminal lets its
    background jobs ignore, and SIGTERM always end a run.
    """
    if number in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGALRM", None)):
        return False
    handler = signal.getsignal(number)
    return handler is not signal.SIG_DFL and not isinstance(handler, OURS)


def _alarms(handler: Handler) -> dict[int, Handler]:
    return {signal.SIGALRM: handler} if hasattr(signal, "SIGALRM") else {}  # Windows has none


def _alarm(seconds: float) -> None:
    """Let the system send SIGALRM every so many seconds; 0 is never."""
    if hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread():
        signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
