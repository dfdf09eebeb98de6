"""Text on terminals and pipes that do not have all of Unicode."""

from __future__ import annotations

import codecs
import io
import sys
import unicodedata

NAME = "clrun.nearest"


def print_nearest() -> None:
    """Let standard output and error print what they can instead of failing, such as e for é."""
    codecs.register_error(NAME, _nearest)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors=NAME)


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
