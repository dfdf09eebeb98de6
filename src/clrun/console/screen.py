"""Standard output and error that nobody reads any more: `clrun ... | head -1` is a run too."""

from __future__ import annotations

import os
import sys
from typing import IO

from rich.console import Console


class Screen(Console):
    """As rich's, which would end the program when its reader leaves."""

    def on_broken_pipe(self) -> None:
        """Print nothing any more."""
        self.quiet = True
        _lead_nowhere(self.file)


def print_error(line: str) -> None:
    """Print a line on standard error, if anybody reads it."""
    try:
        print(line, file=sys.stderr, flush=True)
    except BrokenPipeError:
        _lead_nowhere(sys.stderr)


def _lead_nowhere(stream: IO[str]) -> None:
    """Let nothing fail that writes there later, such as Python when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
