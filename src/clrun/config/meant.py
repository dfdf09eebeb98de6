"""What a wrong key or choice stands for: ours for another tool's name, or one of another option."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from clrun.config.option_file import read_option
from clrun.config.sources import GROUPS, PLUGINS, options
from clrun.config.usual_names import usual_key
from clrun.errors import did_you_mean

PENALTIES = {"ewc_on": "ewc", "online_ewc": "ewc", "synaptic_intelligence": "si"}
"""Other names of plugins, which people type as a strategy."""


def meant(prefix: str, key: str, allowed: Sequence[str]) -> str:
    """ " Did you mean ...?" for a key that a node, or with prefix "" the root, does not have."""
    group, usual = prefix.rstrip("."), usual_key(key)
    if usual is not None and usual.startswith(prefix) and usual.removeprefix(prefix) in allowed:
        return f" Did you mean '{usual.removeprefix(prefix)}'?"
    elsewhere = list(_elsewhere(group, key)) if group in GROUPS else []
    if elsewhere:
        return f" It is a key of {', '.join(elsewhere)}."
    if usual is not None and usual != f"{prefix}{key}":
        return f" Did you mean '{usual}'?"
    return did_you_mean(key, allowed)


def plugin_of(name: str) -> str | None:
    """The words that add the plugin of this name, or the one for what the name stands for."""
    name = PENALTIES.get(name, name)
    return plugin_words(name) if name in {option.name for option in options(PLUGINS)} else None


def plugin_words(name: str) -> str:
    """How a plugin is added, with the keys that need a value."""
    keys = read_option(PLUGINS, name).keys.values()
    needed = "".join(f", {key.path}: 1.0" for key in keys if key.value == "???")
    return f"'strategy.plugins=[{{name: {name}{needed}}}]'"


def _elsewhere(group: str, key: str) -> Iterator[str]:
    """The other options of the group that have the key; of a strategy, its plugins too."""
    for option in options(group):
        if key in read_option(group, option.name).keys:
            yield f"{group}={option.name}"
    for plugin in options(PLUGINS) if group == "strategy" else []:
        if key in read_option(PLUGINS, plugin.name).keys:
            yield f"strategy.plugins='[{{name: {plugin.name}, {key}: ...}}]'"
