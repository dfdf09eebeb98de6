"""The type of a configuration field in a user's words: whole number, at least 1."""

from __future__ import annotations

from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from clrun.config.bounds import Bytes, FilePath, OutputPath

KINDS = {
    int: "whole number",
    float: "number",
    bool: "true | false",
    str: "text",
    dict: "mapping",
    NoneType: "null",
}
WHOLE = (
    (FilePath, "path"),
    (OutputPath, "path"),
    (Bytes, "bytes, at least 1, e.g. 64MB"),
)
"""Types that say more than what they are made of."""
BOUNDS = {
    "gt": "above {:g}",
    "ge": "at least {:g}",
    "lt": "below {:g}",
    "le": "at most {:g}",
    "min_length": "at least {} long",
    "max_length": "at most {} long",
}
"""The attributes by which pydantic's metadata name a bound."""


def in_words(hint: Any) -> str:
    """What a field with this annotation may hold, bounds included."""
    origin, arguments = get_origin(hint), get_args(hint)
    for known, words in WHOLE:
        if hint == known:
            return words
    if origin is Annotated:
        return ", ".join([in_words(arguments[0]), *_bounds(arguments[1:])])
    if origin is Literal:
        return " | ".join(str(value) for value in arguments)
    if origin in (Union, UnionType):
        return _either([in_words(argument) for argument in arguments])
    if origin is list:
        return f"list of: {in_words(arguments[0])}"
    kind = origin or hint
    return KINDS.get(kind) or str(getattr(kind, "__name__", kind))


def choices(hint: Any) -> list[str]:
    """The values that a field with this annotation may hold, where they can be listed."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return choices(arguments[0])
    if origin is Literal:
        return [str(value) for value in arguments]
    if origin in (Union, UnionType):
        return [value for argument in arguments for value in choices(argument)]
    return {bool: ["true", "false"], NoneType: ["null"]}.get(hint, [])


def _either(kinds: list[str]) -> str:
    """Alternatives; names that more than one of them allows are there once."""
    if any("," in kind for kind in kinds):
        return ", or ".join(kinds)
    return " | ".join(dict.fromkeys(" | ".join(kinds).split(" | ")))


def _bounds(metadata: tuple[Any, ...]) -> Iterator[str]:
    for part in metadata:
        for rule in part.metadata if isinstance(part, FieldInfo) else [part]:
            for name, text in BOUNDS.items():
                if hasattr(rule, name):
                    yield text.format(getattr(rule, name))
