"""Named spans: the code that does something says what it is, and a profile learns how long it took.

Nothing is measured unless a run is profiled: a span then costs about 0.1 µs (tests/profiling), so
it may stand around each step of an update, but not in a loop over rows. No torch here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol, TypeVar

Update = TypeVar("Update")


class Recorder(Protocol):
    """Measures spans; `clocks.Clocks` is one."""

    def span(self, name: str) -> AbstractContextManager[Any]: ...
    def phase(self, name: str) -> AbstractContextManager[Any]: ...
    def updates(self, learning: Iterator[Update], experience: int) -> Iterator[Update]: ...


class _Unmeasured:
    """A context that does nothing. Python's own `nullcontext` takes longer."""

    __slots__ = ()

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: object, trace: object) -> None: ...


_UNMEASURED = _Unmeasured()
_recorder: Recorder | None = None


def span(name: str) -> AbstractContextManager[Any]:
    """What runs inside is a part of the current phase: forward, backward, optimizer, ...

    A span inside another one is taken out of it: each moment belongs to the innermost span.
    Never yield inside a span: what happens elsewhere until the generator goes on would be in it.
    """
    return _UNMEASURED if _recorder is None else _recorder.span(name)


def phase(name: str) -> AbstractContextManager[Any]:
    """What runs inside is this phase of the run (setup, train, eval, ...) and no other."""
    return _UNMEASURED if _recorder is None else _recorder.phase(name)


def updates(learning: Iterator[Update], experience: int) -> Iterator[Update]:
    """The updates of one experience as they come: where a profile times and traces training."""
    return learning if _recorder is None else _recorder.updates(learning, experience)


@contextmanager
def recorded_by(recorder: Recorder) -> Iterator[None]:
    """Spans inside are measured by this recorder."""
    global _recorder
    before, _recorder = _recorder, recorder
    try:
        yield
    finally:
        _recorder = before
