"""What a run does besides updates: the code that does it says so, and who watches may show it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Watcher = Callable[[str | None], None]
"""Called with what begins, e.g. "evaluating", and with None once only updates are made again."""

_watcher: Watcher | None = None
_current: tuple[str | None, bool] = (None, False)


@contextmanager
def doing(what: str, *, stoppable: bool = True) -> Iterator[None]:
    """What runs inside is this; inside something else, that goes on afterwards.

    It is stoppable if a signal may end it anywhere: it takes long, and the run goes on from before
    it. What leaves something that matters half done says that it is not.
    """
    global _current
    before = _current
    try:
        _current = (what, stoppable)
        _show(what)
        yield
    finally:
        _current = before  # no call before it, during which a signal could arrive
        _show(before[0])


def is_stoppable() -> bool:
    """Whether a signal may end what goes on now, wherever it is."""
    return _current[1]


def watch(watcher: Watcher | None) -> None:
    """Let this one know from now on, and no other; None is nobody."""
    global _watcher
    _watcher = watcher


def _show(what: str | None) -> None:
    if _watcher is not None:
        _watcher(what)
