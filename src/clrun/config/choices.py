"""Choices of a group that Hydra takes, or refuses in words of its own."""

from __future__ import annotations

from collections.abc import Sequence

from hydra.core.override_parser.types import Override, QuotedString

from clrun.config.meant import plugin_of
from clrun.config.sources import GROUPS, PLUGINS, options
from clrun.config.usual_names import usual_option
from clrun.errors import ConfigError


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
        if override.is_delete() or override.is_sweep_override() or group not in GROUPS:
            continue
        if not isinstance(value, str | QuotedString):
            known = ", ".join(option.name for option in options(group))
            raise ConfigError(
                f"{typed}: takes one option.{_way_out(group, value)} Options: {known}."
            )


def _way_out(group: str, value: object) -> str:
    """What several options, or a number, may stand for."""
    if isinstance(value, list):
        return f" To run each: -m {group}={','.join(map(str, value))}."
    usual = usual_option(group, str(value))
    return f" Write {usual}." if usual else ""
