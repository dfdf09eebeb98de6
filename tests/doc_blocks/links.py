"""Links of a page: to files, and to sections of pages."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

from markdown_it.token import Token

from doc_blocks.markdown import name_of, tokens

OUTSIDE = re.compile(r"[a-z]+:")


def links(text: str) -> Iterator[tuple[int, str]]:
    """What a page links to or shows as a picture, each with its line."""
    for token in tokens(text):
        for child in token.children or ():
            target = child.attrGet("href" if child.type == "link_open" else "src")
            if isinstance(target, str) and token.map is not None:
                yield token.map[0] + 1, unquote(target)


def anchors(text: str) -> set[str]:
    """The names of a page's sections, as GitHub and the site make them of headings."""
    found, seen = set[str](), Counter[str]()
    for opening, inside in pairwise(tokens(text)):
        if opening.type == "heading_open":
            name = slug(_plain(inside))
            found.add(f"{name}-{seen[name]}" if seen[name] else name)
            seen[name] += 1
    return found


def slug(heading: str) -> str:
    """The name of a section with this heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower().strip()).replace(" ", "-")


def _plain(inside: Token) -> str:
    return "".join(
        child.content for child in inside.children or () if child.type in ("text", "code_inline")
    )


def dead_links(path: Path, text: str | None = None) -> list[str]:
    """What is wrong with the links of a page, a line each: page, line, link."""
    text = path.read_text(encoding="utf-8") if text is None else text
    found = []
    for line, target in links(text):
        place, _, section = target.partition("#")
        if OUTSIDE.match(target):
            continue
        to = (path.parent / place).resolve() if place else path
        if not to.exists():
            found.append(f"{name_of(path)}:{line}: {target}: there is no such file.")
        elif section and to.suffix == ".md":
            there = anchors(text) if to == path else _anchors_of(to)
            if section not in there:
                found.append(f"{name_of(path)}:{line}: {target}: there is no such section.")
    return found


@cache
def _anchors_of(path: Path) -> set[str]:
    return anchors(path.read_text(encoding="utf-8"))
