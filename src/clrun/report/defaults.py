"""What a run's configuration is where nobody says anything else, read from the options' files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clrun.config.option_file import read_option, read_primary
from clrun.errors import ConfigError
from clrun.records.past_run import PastRun

ABSENT = object()
"""The default of a key that the files do not have."""

NOT_OF_A_RUN = ("run_name", "output_root", "report")
"""Keys of the root that a page says elsewhere, or that change nothing of a run."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A key with its value, what it is by default, and in another run."""

    key: str
    value: Any
    default: Any
    """`ABSENT` where the option's file is not there or does not say"""
    comment: str
    other: Any = ABSENT
    """in the run beside; `ABSENT` where it has no such key, or there is no other run"""

    @property
    def is_default(self) -> bool:
        """Whether nobody changed it."""
        return self.default is not ABSENT and _same(self.value, self.default)

    @property
    def is_like_other(self) -> bool:
        """Whether the other run has the same."""
        return _same(self.value, self.other)


def settings(run: PastRun, other: PastRun | None = None) -> list[Setting]:
    """Every choice and key of a run, in the order of its record.

    The default of a group is what conf/config.yaml chooses; that of a key what the chosen option
    says, whichever option it is.
    """
    primary = read_primary()
    found = [
        Setting(
            key=group,
            value=option,
            default=primary.choices.get(group, ABSENT),
            comment="",
            other=ABSENT if other is None else other.options.get(group, ABSENT),
        )
        for group, option in run.options.items()
    ]
    defaults = {key: (entry.value, entry.comment) for key, entry in primary.keys.items()}
    for group, option in run.options.items():
        defaults |= _of_option(group, option)
    for key, value in run.values.items():
        if key in NOT_OF_A_RUN:
            continue
        default, comment = defaults.get(key, (ABSENT, ""))
        theirs = ABSENT if other is None else other.values.get(key, ABSENT)
        found.append(Setting(key=key, value=value, default=default, comment=comment, other=theirs))
    if other is not None:
        found += _only_others(run, other)
    return found


def _of_option(group: str, option: str) -> Mapping[str, tuple[Any, str]]:
    try:
        keys = read_option(group, option).keys
    except ConfigError:  # of a package that is not installed here, or a folder of its user's
        return {}
    return {f"{group}.{key}": (entry.value, entry.comment) for key, entry in keys.items()}


def _only_others(run: PastRun, other: PastRun) -> list[Setting]:
    """The keys that the other run alone has."""
    return [
        Setting(key=key, value=ABSENT, default=ABSENT, comment="", other=value)
        for key, value in other.values.items()
        if key not in run.values and key not in NOT_OF_A_RUN
    ]


def _same(a: Any, b: Any) -> bool:
    """Whether two values mean the same, however they were written: 60 and 60.0, on and true."""
    if a is ABSENT or b is ABSENT:
        return False
    if isinstance(b, str) and "${" in b:
        return True  # it follows from another key, which is shown where that differs
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, str) and isinstance(b, int | float):
        a, b = b, a
    if isinstance(b, str) and isinstance(a, int | float):
        try:
            return float(b) == float(a)
        except ValueError:
            return False
    return bool(a == b)
