"""Text on terminals and pipes that do not have all of Unicode."""

from __future__ import annotations

import codecs
import io
import sys
import unicodedata
from typing import Any

from clrun.console.visible import VisibleStream, raw

NAME = "clrun.nearest"


def print_nearest() -> None:
    """Let standard output and error print what they can instead of failing, such as e for é, and
    show control characters instead of sending them."""
    codecs.register_error(NAME, _nearest)
    sys.stdout, sys.stderr = _readied(sys.stdout), _readied(sys.stderr)


def _readied(stream: Any) -> Any:
    within = raw(stream)
    if isinstance(within, io.TextIOWrapper) and within.errors in ("strict", "surrogateescape"):
        within.reconfigure(errors=NAME)
    return stream if stream is None or stream is not within else VisibleStream(stream)


def _nearest(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    plain = unicodedata.normalize("NFKD", text)
    return "".join(_ascii(letter) for letter in plain), error.end


def _ascii(letter: str) -> str:
    """The letter where ASCII has it, nothing for an accent, else a question mark."""
    if letter.isascii():
        return letter
    return "" if unicodedata.combining(letter) else "?"
