"""The values of a word of a sweep, by Hydra's grammar."""

from __future__ import annotations

import math

from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep

from clrun.errors import ConfigError, cut


def number_of_values(word: Override) -> int:
    """How many values an override has, without making them; of an interval one."""
    value = word.value()
    if not word.is_sweep_override() or word.is_interval_sweep():
        return 1
    if isinstance(value, RangeSweep):
        start, stop, step = float(value.start or 0), float(value.stop or 0), float(value.step)
        if not (math.isfinite(start) and math.isfinite(stop) and math.isfinite(step) and step):
            raise ConfigError(f"{cut(word.input_line)}: start, stop and step must be finite.")
        return max(0, math.ceil((stop - start) / step))
    if isinstance(value, ChoiceSweep):
        return len(value.list)
    return len(list(word.sweep_string_iterator()))


def first_value(word: Override) -> str | None:
    """The first value of a swept key, if it has one."""
    return next(iter(word.sweep_string_iterator()), None)


def values_of(word: Override) -> list[str]:
    """The values of an override as they are typed; of an interval one inside."""
    if not word.is_sweep_override():
        return [word.get_value_element_as_str()]
    if word.is_discrete_sweep():
        return list(word.sweep_string_iterator())
    interval = word.value()
    assert isinstance(interval, IntervalSweep), "every other kind is discrete"
    middle = (float(interval.start or 0) + float(interval.end or 0)) / 2
    is_whole = isinstance(interval.start, int) and isinstance(interval.end, int)
    return [str(int(middle) if is_whole else middle)]
