"""What a run does besides updates: the code that does it says so, and who watches may show it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Watcher = Callable[[str | None], None]
"""Called with what begins, e.g. "evaluating", and with None once only updates are made again."""

_watcher: Watcher | None = None
_current: str | None = None


@contextmanager
def doing(what: str) -> Iterator[None]:
    """What runs inside is this; inside something else, that goes on afterwards."""
    global _current
    before = _current
    _say(what)
    try:
        yield
    finally:
        _say(before)


def watch(watcher: Watcher | None) -> None:
    """Let this one know from now on, and no other; None is nobody."""
    global _watcher
    _watcher = watcher


def _say(what: str | None) -> None:
    global _current
    _current = what
    if _watcher is not None:
        _watcher(what)
