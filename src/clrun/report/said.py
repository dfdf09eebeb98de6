"""Values of keys over several runs, in words."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from clrun.records.past_run import PastRun

MOST_LISTED = 6
"""With more values than this the first and the last are named."""


def listed(values: Sequence[str], word: str = "and") -> str:
    """Words in a sentence: "a, b and c"."""
    if len(values) > MOST_LISTED:
        return f"{len(values)} values from {values[0]} to {values[-1]}"
    return values[0] if len(values) == 1 else f"{', '.join(values[:-1])} {word} {values[-1]}"


def text(value: Any) -> str:
    """A value as it would be typed; large numbers with commas."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 10_000:
        return f"{value:,}"
    return value if isinstance(value, str) else json.dumps(value, default=str)


def numbers(values: Iterable[int]) -> str:
    """Whole numbers: "0 to 4", or each of them."""
    found = sorted(set(values))
    if len(found) > 2 and found == list(range(found[0], found[-1] + 1)):
        return f"{found[0]} to {found[-1]}"
    return listed([str(number) for number in found])


def amount(size: float) -> str:
    """Bytes with a prefix, of thousands."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= unit:
            return f"{size / unit:.3g} {name}"
    return f"{size:.0f} bytes"


class Said:
    """What some runs say of a key: one value, or each of those that they have."""

    def __init__(self, runs: Sequence[PastRun]) -> None:
        self.runs = runs

    def all(self, key: str) -> list[Any]:
        """Its different values, in the order of the runs; those that lack it left out."""
        found = [run.values[key] for run in self.runs if key in run.values]
        return [value for place, value in enumerate(found) if value not in found[:place]]

    def is_always(self, key: str, *values: Any) -> bool:
        """Whether no run has another value than these; runs without the key have none."""
        return all(value in values for value in self.all(key))

    def __getitem__(self, key: str) -> str:
        """Its value or values, in words; empty where no run has the key."""
        return listed([text(value) for value in self.all(key)], "or") if self.all(key) else ""

    def keys(self, group: str, without: Iterable[str]) -> list[str]:
        """Each key of a group with its values, as typed, but those that are null or left out."""
        left_out = {f"{group}.{name}" for name in without}
        known = dict.fromkeys(key for run in self.runs for key in run.values)
        return [
            f"{key.partition('.')[2]}={self[key]}"
            for key in known
            if key.startswith(f"{group}.") and key not in left_out
            if not self.is_always(key, None, [])
        ]
