"""Text that cannot command a terminal: control characters are shown, not sent.

Names of classes, files, options and keys come from other people's files. An escape sequence in one
could rewrite what stands on the screen, a mark for writing direction turn a line around.
"""

from __future__ import annotations

import re
from typing import Any, TextIO

HIDDEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    r"\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
"""C0 but tab and line feed, C1, and what changes the direction of text or has no width."""

LONGEST_LINE = 1000
"""Characters of a message; a list of all keys of a benchmark fits."""


def visible(text: str) -> str:
    """The text with each such character as Python would write it: ESC as \\x1b."""
    return HIDDEN.sub(lambda found: _escaped(found[0]), text) if HIDDEN.search(text) else text


def one_line(text: str, longest: int = LONGEST_LINE) -> str:
    """A message as one line of readable length."""
    line = visible(text.strip().replace("\n", "\\n").replace("\t", "\\t"))
    if len(line) <= longest:
        return line
    return f"{line[: longest - 40]} ... ({len(line):,} characters)"


def _escaped(letter: str) -> str:
    if letter == "\x7f":
        return "\\u007f"  # which JSON, where it is the only one that may stand raw, reads back
    return letter.encode("unicode_escape").decode("ascii")


class VisibleStream:
    """A text stream that is written to through `visible`.

    What has to command the terminal writes to `rich_proxied_file`, as rich does by itself.
    """

    def __init__(self, stream: TextIO) -> None:
        self.rich_proxied_file = stream

    def write(self, text: str) -> int:
        """Write the text so that all of it can be seen."""
        self.rich_proxied_file.write(visible(text))
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        """Write each of the lines."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rich_proxied_file, name)


def raw(stream: Any) -> Any:
    """The stream behind a `VisibleStream`, and behind what rich puts before it while a line moves.

    Any other is given back itself.
    """
    while hasattr(stream, "rich_proxied_file"):
        stream = stream.rich_proxied_file
    return stream
