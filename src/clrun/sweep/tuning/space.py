"""What a study searches: keys and their values. No torch, no optuna, no Hydra."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

DIGITS = 4
"""Significant ones of a number that is drawn: more of them say nothing, and nobody types them."""


@dataclass(frozen=True, kw_only=True)
class Dimension:
    """One key, and the values it may have: listed ones, or those between two ends."""

    key: str
    typed: str
    """as it was typed"""
    choices: tuple[str, ...] = ()
    """as typed; none where there are ends"""
    low: float = 0.0
    high: float = 0.0
    """itself a value, if the steps meet it"""
    step: float | None = None
    is_whole: bool = False
    is_log: bool = False

    @property
    def size(self) -> float:
        """How many values there are."""
        if self.choices:
            return len(self.choices)
        step = self.step or (1.0 if self.is_whole else 0.0)
        return math.floor((self.high - self.low) / step + 1e-9) + 1 if step else math.inf

    def text(self, value: object) -> str:
        """A value as it is typed, and as it is used from then on."""
        if self.choices:
            return str(value)
        number = float(str(value))
        if self.is_whole:
            return str(round(number))
        if self.step is None:
            return repr(min(max(float(f"{number:.{DIGITS}g}"), self.low), self.high))
        return f"{number:.12g}"  # 0.1 + 2 * 0.1 is 0.3

    def number(self, text: str) -> str | int | float:
        """What the sampler calls a value that was typed."""
        if self.choices:
            return text
        return int(text) if self.is_whole else float(text)

    def holds(self, text: str) -> bool:
        """Whether this is one of the values."""
        if self.choices:
            return text in self.choices
        try:
            number = float(text)
        except ValueError:
            return False
        if not self.low <= number <= self.high or (self.is_whole and number != int(number)):
            return False
        steps = (number - self.low) / self.step if self.step else 0.0
        return abs(steps - round(steps)) < 1e-9

    def values(self) -> Iterator[str]:
        """All values, of which there are not too many to list."""
        if self.choices:
            yield from self.choices
            return
        step = self.step or 1.0
        for place in range(int(self.size)):
            yield self.text(self.low + place * step)

    def examples(self) -> tuple[str, ...]:
        """Values that are looked at before the first trial: all that are listed, or the ends."""
        return self.choices or (self.text(self.low), self.text(self.high))


Space = tuple[Dimension, ...]


def space_size(space: Space) -> float:
    """How many points there are."""
    return math.prod(dimension.size for dimension in space)


def points(space: Space) -> Iterator[dict[str, str]]:
    """Every point of a space whose values can be listed, the last key fastest."""
    for values in product(*(list(dimension.values()) for dimension in space)):
        yield dict(zip((dimension.key for dimension in space), values, strict=True))
