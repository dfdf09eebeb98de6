"""Choices of a group that Hydra takes, or refuses in words of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hydra.core.override_parser.types import Override, QuotedString

from clrun.config.meant import plugin_of
from clrun.config.sources import GROUPS, LOGGERS, PLUGINS, RECIPES, options
from clrun.config.usual_names import usual_option
from clrun.errors import ConfigError, cut

NO_NAME = re.compile(r"\$\{\s*oc\.(decode|create|dict)")
"""Interpolations that may stand for a list or mapping."""
LONGEST_NAME = 200
"""Characters of an option's name; file systems take 255 bytes."""


def require_choices(overrides: Sequence[Override]) -> None:
    """Refuse what Hydra takes for a group and nobody can mean: no option, several at once.

    Raises:
        ConfigError: such an override is there.
    """
    for override in overrides:
        group, value = override.key_or_group, override.value()
        typed = str(override.input_line)
        if group == PLUGINS:
            words = plugin_of(str(value)) or "'strategy.plugins=[{name: NAME}]'"
            raise ConfigError(f"{typed}: a plugin is part of a strategy. Write {words}.")
        if not group:
            raise ConfigError(f"{cut(typed)}: names no key.")
        if group == LOGGERS:
            _require_loggers(override)
        if override.is_sweep_override() or not _is_group(group):
            continue
        if not (isinstance(value, str | QuotedString) or _may_be_none(override)):
            raise ConfigError(
                f"{cut(typed)}: takes one option.{_way_out(group, value)}{_known(group)}"
            )
        name = getattr(value, "text", value)
        if isinstance(name, str) and not _can_be_an_option(name):
            raise ConfigError(f"{cut(typed)}: there is no such option.{_known(group)}")


def _require_loggers(override: Override) -> None:
    """Refuse what is neither a logger nor a list of them. Not one each for the jobs of a sweep:
    jobs that differ in nothing else are the same.

    Raises:
        ConfigError: it is something else.
    """
    value, typed = override.value(), cut(override.input_line)
    if override.is_sweep_override():
        names = ",".join(override.sweep_string_iterator())
        raise ConfigError(f"{typed}: one run has all of them: '{LOGGERS}=[{names}]'.")
    if value is None and not override.is_delete():
        raise ConfigError(f"{typed}: write {LOGGERS}=none.")
    chosen = [] if value is None else value if isinstance(value, list) else [value]
    for name in (getattr(each, "text", each) for each in chosen):
        if not (isinstance(name, str) and _can_be_an_option(name)):
            raise ConfigError(f"{typed}: there is no such option.{_known(LOGGERS)}")


def _is_group(group: str) -> bool:
    """Whether Hydra looks for options of this name, and not for a key."""
    return group in (*GROUPS, RECIPES, "hydra") or "/" in group


def _may_be_none(override: Override) -> bool:
    """Whether an override says which option by saying none: `experiment=null`, `~model`."""
    value, is_group_of_ours = override.value(), override.key_or_group in GROUPS
    if value is None:
        return override.is_delete() or not is_group_of_ours
    if not isinstance(value, list) or is_group_of_ours or override.is_delete():
        return False
    return all(isinstance(name, str | QuotedString) for name in value)


def _can_be_an_option(name: str) -> bool:
    """Whether a file can have this name."""
    return len(name) <= LONGEST_NAME and "\0" not in name and not NO_NAME.search(name)


def _known(group: str) -> str:
    """The options of a group of ours."""
    is_ours = group in (*GROUPS, LOGGERS, RECIPES)
    known = ", ".join(option.name for option in options(group)) if is_ours else ""
    return f" Options: {known}." if known else ""


def _way_out(group: str, value: object) -> str:
    """What several options, or a number, may stand for."""
    if isinstance(value, list):
        return f" To run each: -m {group}={cut(','.join(map(str, value)))}." if value else ""
    usual = usual_option(group, str(value))
    return f" Write {usual}." if usual else ""
