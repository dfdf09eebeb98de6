"""JSON for people: indented, with a list of plain values on one line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

STEP = "  "


def json_pieces(value: Any, margin: str = "") -> Iterator[str]:
    """The text of a value, a piece at a time: a matrix takes a line for each of its rows.

    Raises:
        ValueError: a number is NaN or infinite, which JSON has no word for.
    """
    if isinstance(value, dict) and value:
        yield from _block("{}", [(_key(name), item) for name, item in value.items()], margin)
    elif isinstance(value, list | tuple) and any(map(_has_parts, value)):
        yield from _block("[]", [("", item) for item in value], margin)
    else:
        yield json.dumps(value, allow_nan=False)


def _block(brackets: str, items: Sequence[tuple[str, Any]], margin: str) -> Iterator[str]:
    """Each item on lines of its own, between brackets."""
    inner = margin + STEP
    start = brackets[0]
    for before, item in items:
        yield f"{start}\n{inner}{before}"
        yield from json_pieces(item, inner)
        start = ","
    yield f"\n{margin}{brackets[1]}"


def _key(name: Any) -> str:
    """A key as `json.dumps` has it, which knows what a number is as one."""
    return json.dumps({name: 0})[1:-2]


def _has_parts(value: object) -> bool:
    return isinstance(value, dict | list | tuple)
