"""What a check says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be."""

    seen: str
    """what was seen, with its number"""
    advice: str
    """what to do"""


def listed(names: list[str], most: int = 5) -> str:
    """Names in a phrase: the first few, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
