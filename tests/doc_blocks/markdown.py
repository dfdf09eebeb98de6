"""A Markdown page as blocks of code, with what its comments say about running them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[2]

RUNS = ("bash", "console", "python")
SHOWS = ("", "csv", "html", "json", "latex", "markdown", "mermaid", "text", "toml", "yaml")
"""Kinds of blocks that are there to be looked at, or written to a file."""

COMMENT = re.compile(r"<!--\s*(run|file):\s*(.*?)\s*-->", re.DOTALL)
CELL = re.compile(r"\{code-cell\}( (ipython3|python))?")
DIRECTIVE = re.compile(r"\{(?!code-cell)")
"""What only the site does, such as to include a page."""
COMMAND = re.compile(r"(\$ |(scripts/run|clrun|python3?|pip) )")


class PageError(Exception):
    """A page has something that no runner could do; the message names page and line."""


@dataclass(frozen=True)
class Block:
    """A block of code on a page."""

    page: str
    """as messages name it"""
    line: int
    """of its first line of code, from 1"""
    kind: str
    code: str
    how: str = "run"
    """run, compose, slow or no"""
    reason: str = ""
    """why it is not run"""
    exit_code: int = 0
    file: str | None = None
    """where it is written to instead of being run"""
    fence: int = 0
    """the line of its opening fence, from 1"""
    indent: str = ""
    shown: tuple[str, ...] | None = None
    """the lines of output below the cell of a notebook"""

    def at(self, line: int = 0) -> str:
        """Page and line, `line` lines below the first one."""
        return f"{self.page}:{self.line + line}"


def pages() -> list[Path]:
    """All pages that people read; those of the reference that are made of the code are not here."""
    docs = ROOT / "docs"
    found = [*docs.rglob("*.md"), *docs.rglob("*.ipynb")]
    written = {path for path in found if path.parent.name != "reference"}
    return [
        *(path for name in ("README.md", "CONTRIBUTING.md") if (path := ROOT / name).exists()),
        *sorted(written | {docs / "reference" / "metrics.md"}),
    ]


def name_of(path: Path) -> str:
    """A page as messages name it: from the root of the checkout, where it lies in one."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name


@cache
def tokens(text: str) -> list[Token]:
    """What a page is made of; paragraphs have children."""
    return MarkdownIt("commonmark").enable("table").parse(text)


def blocks(path: Path) -> list[Block]:
    """The blocks of code of a page, in order.

    Raises:
        PageError: one is of no known kind, or a comment about it says nothing that is known.
    """
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        return cells(name_of(path), text)
    return blocks_of(name_of(path), text)


def cells(name: str, text: str) -> list[Block]:
    """The cells of code of a notebook; a line is counted within all cells' source."""
    found, line = [], 1
    for cell in json.loads(text)["cells"]:
        code = "".join(cell["source"])
        if cell["cell_type"] == "code":
            text = "".join("".join(output.get("text", "")) for output in cell["outputs"])
            shown = tuple(text.splitlines())
            found.append(Block(page=name, line=line, kind="python", code=code + "\n", shown=shown))
        line += code.count("\n") + 1
    return found


def blocks_of(name: str, text: str) -> list[Block]:
    """The blocks of code of a page with this name and text."""
    lines = text.splitlines()
    found, comments = [], dict[str, str]()
    for token in tokens(text):
        if token.map is None:  # closes something, such as the item of a list
            continue
        where = f"{name}:{token.map[0] + 1}"
        if token.type == "html_block":
            comments |= dict(COMMENT.findall(token.content))
            continue
        if token.type == "code_block" and COMMAND.match(token.content):
            raise PageError(f"{where}: an indented block of commands. Use a fence: ```bash.")
        if token.type == "fence" and not DIRECTIVE.match(token.info):
            opening = lines[token.map[0]]
            found.append(_block(name, token, opening[: opening.index(token.markup)], comments))
        elif comments:
            raise PageError(f"{where}: a comment says how to run a block, and none follows.")
        comments = {}
    return found


def _block(name: str, token: Token, indent: str, comments: dict[str, str]) -> Block:
    assert token.map is not None
    fence = token.map[0] + 1
    kind, code, skipped = token.info.strip(), token.content, 0
    if CELL.fullmatch(kind):
        kind = "python"
        while code.startswith(":"):  # options of the cell, such as its tags
            skipped, code = skipped + 1, code.partition("\n")[2]
    if kind not in RUNS + SHOWS:
        known = ", ".join(RUNS + SHOWS[1:])
        raise PageError(f"{name}:{fence}: a block of kind {kind!r}. Known are {known}.")
    how, reason, exit_code = _how(comments.get("run", ""), f"{name}:{fence}")
    return Block(
        page=name,
        line=fence + 1 + skipped,
        kind=kind,
        code=code,
        how=how,
        reason=reason,
        exit_code=exit_code,
        file=_file(comments.get("file"), f"{name}:{fence}"),
        fence=fence,
        indent=indent,
    )


def _how(comment: str, where: str) -> tuple[str, str, int]:
    """How a block is run, why not, and how its commands end."""
    how, reason, exit_code = "run", "", 0
    if comment.startswith("no:"):
        reason = comment.removeprefix("no:").strip()
        if not reason:
            raise PageError(f"{where}: run: no: says no reason.")
        return "no", reason, 0
    for word in filter(None, (part.strip() for part in comment.split(","))):
        if word in ("compose", "slow"):
            how = word
        elif match := re.fullmatch(r"exit (\d+)", word):
            exit_code = int(match[1])
        else:
            allowed = "compose, slow, exit CODE or no: REASON"
            raise PageError(f"{where}: run: {word}: must be {allowed}.")
    return how, reason, exit_code


def _file(name: str | None, where: str) -> str | None:
    if name is not None and (name.startswith(("/", "~")) or ".." in Path(name).parts):
        raise PageError(f"{where}: file: {name}: must be below the page's folder.")
    return name
