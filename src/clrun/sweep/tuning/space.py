"""What a study searches: keys with values in Hydra's own words for sweeps. No torch, no optuna."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from hydra.core.override_parser.types import (
    IntervalSweep,
    Override,
    RangeSweep,
    Sweep,
)

from clrun.config.override_values import number_of_values
from clrun.errors import ConfigError, cut

LOG = "log"
"""The one tag that is read: a value twice as large is as far away everywhere."""

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


def dimension_of(word: Override) -> Dimension:
    """What a swept word says.

    Raises:
        ConfigError: it has no values, or ends that are none.
    """
    key, value = word.get_key_element().lstrip("+"), word.value()
    typed = str(word.input_line).partition("=")[2]
    tags = value.tags if isinstance(value, Sweep) else set()
    for tag in sorted(tags - {LOG}):
        raise _wrong(word, f"tag {tag} means nothing. Use tag(log, interval(0.001, 1)), or none")
    if isinstance(value, IntervalSweep):
        return _interval(word, key, typed, value)
    if isinstance(value, RangeSweep) and number_of_values(word):
        return _range(word, key, typed, value)
    if LOG in tags:
        raise _wrong(word, "a list of values has no scale. Use tag(log, interval(0.001, 1))")
    choices = tuple(dict.fromkeys(word.sweep_string_iterator()))
    if not choices:
        raise _wrong(word, "this is no value. List some: KEY=VALUE,VALUE")
    return Dimension(key=key, typed=typed, choices=choices)


def _interval(word: Override, key: str, typed: str, value: IntervalSweep) -> Dimension:
    assert value.start is not None, "its grammar has both"
    assert value.end is not None, "its grammar has both"
    dimension = Dimension(
        key=key,
        typed=typed,
        low=float(value.start),
        high=float(value.end),
        is_whole=isinstance(value.start, int) and isinstance(value.end, int),
        is_log=LOG in value.tags,
    )
    _require_ends(word, dimension)
    return dimension


def _range(word: Override, key: str, typed: str, value: RangeSweep) -> Dimension:
    """Its stop is no value, as everywhere."""
    start, step = value.start or 0, value.step
    last = start + (number_of_values(word) - 1) * step
    dimension = Dimension(
        key=key,
        typed=typed,
        low=float(min(start, last)),
        high=float(max(start, last)),
        step=abs(float(step)),
        is_whole=all(isinstance(number, int) for number in (start, step)),
    )
    if LOG in value.tags:
        raise _wrong(word, "a range has steps. Use tag(log, int(interval(1, 100)))")
    return dimension


def _require_ends(word: Override, dimension: Dimension) -> None:
    low, high = dimension.low, dimension.high
    if not (math.isfinite(low) and math.isfinite(high)) or low >= high:
        raise _wrong(word, "its first end must be below its second one, both finite")
    if dimension.is_log and low <= 0:
        raise _wrong(word, "on a logarithmic scale both ends are above 0")


def _wrong(word: Override, reason: str) -> ConfigError:
    return ConfigError(f"{cut(str(word.input_line))}: {reason}.")
