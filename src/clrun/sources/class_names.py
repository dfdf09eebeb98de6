"""Names of classes: in which order they stand, which mean the same, and which mean none.

Imports no torch.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from decimal import Decimal

from clrun.images.files import DamagedFile

NULL_WORDS = frozenset(
    ("", "nan", "-nan", "none", "null", "na", "n/a", "<na>", "#n/a", "#na", "nat", "<null>")
)
"""What tables write where a value is missing, in any case."""
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,9})?")


class BadRows(DamagedFile):
    """Data that fit no stream; the message ends with the way out."""


def composed(name: str) -> str:
    """The one form of a name, however its accents were stored (NFC)."""
    return unicodedata.normalize("NFC", name)


def folded(name: str) -> str:
    """What two names that read the same have in common: no case, no width, nothing invisible."""
    caseless = unicodedata.normalize("NFD", name).casefold()
    visible = (c for c in unicodedata.normalize("NFKC", caseless) if not _is_invisible(c))
    return " ".join("".join(visible).split())


def number(name: str) -> Decimal | None:
    """The number that a name is; None if it is not one."""
    text = folded(name)
    return Decimal(text) if NUMBER.fullmatch(text) else None


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """By value where all names are numbers, else in natural order: class2 before class10."""
    values = {name: number(name) for name in names}
    known = {name: value for name, value in values.items() if value is not None}
    if len(known) == len(values):
        return tuple(sorted(known, key=lambda name: (known[name], name)))
    return tuple(sorted(values, key=lambda name: (_natural(composed(name)), name)))


def check_names(place_of: Mapping[str, str]) -> None:
    """Raise BadRows if a name is no class, or two names mean one.

    `place_of` gives for each name where it was found first, to start a message with.
    """
    seen: dict[Decimal | str, str] = {}
    for name, place in place_of.items():
        _check_visible(name, place)
        value = number(name)
        one = folded(name) if value is None else value
        first = seen.setdefault(one, name)
        if first != name:
            ours, theirs = _shown(first, name)
            how = "read as one name" if value is None else "are one number"
            raise BadRows(
                f"{place_of[first]} has class {ours} and {place} {theirs}, which {how}. "
                "Write a class in one way"
            )


def _check_visible(name: str, place: str) -> None:
    if folded(name) in NULL_WORDS:
        raise BadRows(
            f"{place} has no label ({name!a}). Fill it in, or give the class another name"
        )
    if any(unicodedata.category(c) in ("Cc", "Zl", "Zp") for c in name):
        raise BadRows(f"{place} has class {name!a}, which is no text on one line. Rename it")
    for c in (name[0], name[-1]):
        if _is_invisible(c):
            raise BadRows(
                f"{place} has class {name!a}, with an invisible character (U+{ord(c):04X}). "
                "Take it out"
            )


def _natural(name: str) -> list[str | Decimal]:
    """Text and numbers in turn, to compare with those of other names."""
    parts = re.split(r"(\d+)", name)
    return [Decimal(part) if k % 2 else part for k, part in enumerate(parts)]


def _is_invisible(c: str) -> bool:
    """Whether it has no width: joiners, direction marks, variation selectors."""
    return unicodedata.category(c) == "Cf" or "\ufe00" <= c <= "\ufe0f" or c == "\u034f"


def _shown(*names: str) -> list[str]:
    """The names in quotes; by their code points where they look the same."""
    visible = {"".join(c for c in composed(name) if not _is_invisible(c)) for name in names}
    return [repr(name) if len(visible) == len(names) else ascii(name) for name in names]
