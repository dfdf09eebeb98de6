"""Markdown of plain texts: what code says in comments and help is no Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from textwrap import dedent

SPECIAL = re.compile(r"([\\*_<>\[\]#|~$])")


def plain(text: str) -> str:
    """A text that is shown as it is, its `code` as code."""
    parts = re.split(r"(`[^`]+`)", text)
    return "".join(p if at % 2 else SPECIAL.sub(r"\\\1", p) for at, p in enumerate(parts))


def code(text: str) -> str:
    """A text as code."""
    return f"``{text}``" if "`" in text else f"`{text}`"


def block(text: str) -> list[str]:
    """Lines that are shown as they are."""
    return ["```text", *text.rstrip("\n").splitlines(), "```", ""]


def definition(term: str, *meanings: str) -> list[str]:
    """A term with what is said of it below; nothing where a meaning is empty."""
    said = [meaning for meaning in meanings if meaning] or ["\\-"]
    return [term, f": {said[0]}", *(f"\n  {more}" for more in said[1:]), ""]


def definitions(rows: Mapping[str, str]) -> list[str]:
    """Names, as code, with what they are."""
    return [
        line for name, meaning in rows.items() for line in definition(code(name), plain(meaning))
    ]


def paragraphs(text: str) -> Iterator[str]:
    """A comment at the top of a file; its indented paragraphs are commands."""
    for paragraph in text.split("\n\n"):
        if paragraph.startswith(" "):
            yield from block(dedent(paragraph))
        elif paragraph:
            yield from (plain(" ".join(paragraph.split())), "")


def page(title: str, *parts: Iterable[str]) -> str:
    """A page of these lines."""
    lines = [f"# {title}", "", *(line for part in parts for line in part)]
    return "\n".join(lines).rstrip("\n") + "\n"
