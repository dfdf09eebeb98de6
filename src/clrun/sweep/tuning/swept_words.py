"""From Hydra's own words for sweeps to what a study searches."""

from __future__ import annotations

import math

from hydra.core.override_parser.types import (
    IntervalSweep,
    Override,
    RangeSweep,
    Sweep,
)

from clrun.config.override_values import number_of_values
from clrun.errors import ConfigError, cut
from clrun.sweep.tuning.space import Dimension

LOG = "log"
"""The one tag that is read: a value twice as large is as far away everywhere."""


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
