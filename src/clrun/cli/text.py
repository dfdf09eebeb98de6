"""Text for the terminal: filled paragraphs, columns, values as they are typed."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

WIDEST = 100
"""Longer lines are hard to read, however wide the terminal is."""


def shown(value: Any) -> str:
    """A value as it would be typed on the command line."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, list):
        return f"[{','.join(shown(item) for item in value)}]"
    return str(value)


def paragraphs(text: str) -> Iterator[str]:
    """The comment at the top of a file, its paragraphs filled; indented lines are commands."""
    for position, paragraph in enumerate(text.split("\n\n")):
        if position:
            yield ""
        if paragraph.startswith(" "):
            yield from (f"  {line}" for line in paragraph.splitlines())
        else:
            yield from wrapped(paragraph, 2)


def wrapped(text: str, indent: int) -> list[str]:
    margin = " " * indent
    return textwrap.wrap(
        text, line_width(), initial_indent=margin, subsequent_indent=margin, break_on_hyphens=False
    )


def columns(rows: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Names with what they are beside them, cut where the terminal ends."""
    width = max((len(name) for name, _ in rows), default=0)
    for name, description in rows:
        cut = textwrap.shorten(description, max(line_width() - width - 4, 10), placeholder=" ...")
        yield f"  {name:<{width}}  {cut}".rstrip()


def hanging(rows: Sequence[tuple[str, str]], width: int | None) -> Iterator[str]:
    """Names with what they are beside them, in lines of this width; None: one each."""
    indent = max((len(name) for name, _ in rows), default=0) + 4
    for name, description in rows:
        first = f"  {name:<{indent - 2}}"
        if width is None or not description:
            yield first + description
        else:
            yield from textwrap.wrap(
                description,
                max(width, indent + 20),
                initial_indent=first,
                subsequent_indent=" " * indent,
                break_on_hyphens=False,
            )


def line_width() -> int:
    """Columns to fill."""
    return min(shutil.get_terminal_size().columns, WIDEST)
