"""A YAML file as it may be read: small, flat, plain, and known to be so before it is composed.

A file of a kilobyte can stand for a billion values (an alias of aliases). Composing takes time for
each of them, so they are counted first, on the events of the parser, which makes none of them.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from clrun.config.budget import note_interpolated
from clrun.errors import ConfigError, cut

MOST_BYTES = 1 << 20
MOST_NODES = 100_000
"""values and keys, what aliases stand for counted each time"""
DEEPEST = 32
"""lists and mappings within one another"""
TOO_DEEP = f"has more than {DEEPEST} lists and mappings in one another"

PLAIN_TAGS = tuple(
    f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "seq", "map")
)
SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def yaml_text(path: Path) -> str:
    """The text of a configuration file.

    Raises:
        ConfigError: it is no regular file, too large, not text, no YAML, or not plain values.
    """
    text = _text(path)
    with yaml_errors(path):
        note_interpolated(path, _require_modest(path, text))
    return text


@contextmanager
def yaml_errors(path: Path) -> Iterator[None]:
    """Report as one line what a parser says of the file."""
    try:
        yield
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        what = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
        if "maximum nesting depth" in str(what):  # PyYAML's own bound, from 6.0.4 on
            what = TOO_DEEP
        raise ConfigError(f"{path}{place}: {cut(' '.join(str(what).split()), 200)}.") from None


def _text(path: Path) -> str:
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise ConfigError(f"{path}: is no regular file.")
        if status.st_size > MOST_BYTES:
            raise ConfigError(
                f"{path}: has {status.st_size:,} bytes. A configuration file has at most "
                f"{MOST_BYTES:,}."
            )
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}.") from None
    except ValueError as error:  # a null byte in its name
        raise ConfigError(f"{path}: {error}.") from None
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}, line {line}: is not UTF-8 text.") from None


class _Counts:
    """How many values the events so far stand for, and how deep they are in one another."""

    def __init__(self) -> None:
        self.nodes = 0
        self.deepest = 0
        self._open: list[tuple[str | None, int, int]] = []
        """of each collection that is open: its anchor, the values before it, the depth below it"""
        self._anchored: dict[str, tuple[int, int]] = {}
        """anchor -> values and depth of what it names"""

    @property
    def depth(self) -> int:
        return len(self._open)

    def scalar(self, anchor: str | None) -> None:
        self._one()
        if anchor is not None:
            self._anchored[anchor] = 1, 0

    def alias(self, anchor: str) -> bool:
        """Whether the alias names something that is complete."""
        if anchor not in self._anchored:
            return False
        nodes, below = self._anchored[anchor]
        self.nodes += nodes
        self._reach(below)
        return True

    def start(self, anchor: str | None) -> None:
        self._one()
        if anchor is not None:
            self._anchored.pop(anchor, None)
        self._open.append((anchor, self.nodes - 1, 0))
        self._reach(0)

    def end(self) -> None:
        anchor, before, below = self._open.pop()
        if anchor is not None:
            self._anchored[anchor] = self.nodes - before, below + 1
        if self._open:
            name, nodes, deep = self._open[-1]
            self._open[-1] = name, nodes, max(deep, below + 1)

    def _one(self) -> None:
        self.nodes += 1

    def _reach(self, below: int) -> None:
        self.deepest = max(self.deepest, self.depth + below)
        if self._open:
            anchor, before, deep = self._open[-1]
            self._open[-1] = anchor, before, max(deep, below)


def _require_modest(path: Path, text: str) -> int:
    """How many characters its texts with interpolations have.

    Raises:
        ConfigError: it is too large, or not of plain values.
    """
    counts, interpolated = _Counts(), 0
    for event in yaml.parse(text, Loader=SafeLoader):
        if counts.depth == 0:
            _require_mapping(path, event)
        _require_plain(path, event)
        _count(path, counts, event)
        if "${" in getattr(event, "value", ""):
            interpolated += len(event.value)
        if counts.nodes > MOST_NODES:
            raise ConfigError(f"{_place(path, event)}: stands for more than {MOST_NODES:,} values.")
        if counts.deepest > DEEPEST:
            raise ConfigError(f"{_place(path, event)}: {TOO_DEEP}.")
    return interpolated


def _count(path: Path, counts: _Counts, event: Any) -> None:
    if isinstance(event, yaml.ScalarEvent):
        counts.scalar(event.anchor)
    elif isinstance(event, yaml.AliasEvent):
        if not counts.alias(event.anchor):
            name = cut(event.anchor)
            raise ConfigError(f"{_place(path, event)}: *{name} names nothing, or what it is in.")
    elif isinstance(event, yaml.CollectionStartEvent):
        counts.start(event.anchor)
    elif isinstance(event, yaml.CollectionEndEvent):
        counts.end()


def _require_mapping(path: Path, event: Any) -> None:
    """Refuse a file that is a list or a single value; one of comments alone is a mapping."""
    is_single = isinstance(event, yaml.ScalarEvent) and event.value not in ("", "~", "null")
    if is_single or isinstance(event, yaml.SequenceStartEvent | yaml.AliasEvent):
        kind = "a single value" if is_single else "a list"
        raise ConfigError(f"{_place(path, event)}: is {kind}. It must be a mapping: KEY: VALUE.")


def _require_plain(path: Path, event: Any) -> None:
    tag = getattr(event, "tag", None)
    if tag is not None and tag != "!" and tag not in PLAIN_TAGS:
        short = tag.replace("tag:yaml.org,2002:", "!!")
        raise ConfigError(
            f"{_place(path, event)}: the tag {cut(short)}: a configuration holds plain values."
        )


def _place(path: Path, event: Any) -> str:
    return f"{path}, line {event.start_mark.line + 1}"
