"""Standard output and error that nobody reads any more: `clrun ... | head -1` is a run too."""

from __future__ import annotations

import io
import os
import sys
from typing import Any


def let_readers_leave() -> None:
    """Let nothing fail in this process that prints after its reader has left.

    That is true of any library, of what Python prints when it ends, and of every name but
    `sys.__stdout__` and `sys.__stderr__`. Streams that somebody put in their place are left alone.
    """
    if sys.stdout is sys.__stdout__:
        sys.stdout = patient(sys.stdout)
    if sys.stderr is sys.__stderr__:
        sys.stderr = patient(sys.stderr)


def patient(stream: Any) -> Any:
    """A text stream to where this one leads, on which writing goes nowhere once that is closed.

    The stream itself is given back where it is none of a file or pipe.
    """
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    raw = getattr(stream.buffer, "raw", stream.buffer)  # which it is for PYTHONUNBUFFERED=1
    if not isinstance(raw, io.FileIO):
        return stream
    stream.flush()
    file = _Patient(raw.fileno(), "w", closefd=False)
    return io.TextIOWrapper(
        file if raw is stream.buffer else io.BufferedWriter(file),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


class _Patient(io.FileIO):
    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return super().write(data)
