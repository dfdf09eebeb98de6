"""A recipe on another option than its own: what it says of an option goes with that option.

`experiment=ar1_digits model=cnn` has another model than the recipe is written for. Keys that the
recipe sets and the chosen option has are the recipe's still, the others are dropped, and so are
values that the chosen option refuses: nobody typed them. What was typed is never dropped.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from clrun.config.composed_tree import Origin
from clrun.config.nodes import read_node
from clrun.config.option_file import OptionFile, read_option
from clrun.config.problems import shown
from clrun.config.sources import OF_A_RUN, RECIPES
from clrun.errors import ConfigError


class Moved(NamedTuple):
    """A tree without the keys that went with an option, and a note of them if there are any."""

    tree: Mapping[str, Any]
    notes: tuple[str, ...]


def moved(tree: Mapping[str, Any], origin: Origin, overrides: Sequence[str]) -> Moved:
    """The tree without what a recipe says of options that are not the chosen ones."""
    name = origin.choices.get(RECIPES)
    try:
        recipe = read_option(RECIPES, name, origin.folders) if name else None
    except ConfigError:  # one that is made of others, or lies where Hydra alone looks
        return Moved(tree, ())
    if recipe is None:
        return Moved(tree, ())
    typed = {word.lstrip("+~").partition("=")[0] for word in overrides}
    found, notes = dict(tree), []
    for group in OF_A_RUN:
        own, option = recipe.choices.get(group), origin.choices.get(group)
        given = tree.get(group)
        if own is None or option is None or own == option or not isinstance(given, Mapping):
            continue
        kept, dropped = _kept(group, option, given, _candidates(recipe, group, typed), origin)
        if dropped:
            found[group] = kept
            keys = ", ".join(f"{group}.{key}={shown(given[key])}" for key in dropped)
            goes = "goes" if len(dropped) == 1 else "go"
            notes.append(
                f"experiment={name} is written for {group}={own}: {keys} "
                f"{goes} with it, and {group}={option} has its own."
            )
    return Moved(found, tuple(notes))


def _candidates(recipe: OptionFile, group: str, typed: Collection[str]) -> list[str]:
    """The keys of a group that the recipe sets and nobody typed."""
    paths = [path.split(".") for path in recipe.keys]
    keys = dict.fromkeys(path[1] for path in paths if path[0] == group and len(path) > 1)
    return [key for key in keys if f"{group}.{key}" not in typed]


def _kept(
    group: str, option: str, given: Mapping[str, Any], candidates: Sequence[str], origin: Origin
) -> tuple[dict[str, Any], list[str]]:
    """The option's keys without candidates that it has not, its own values for those it refuses."""
    values = {str(key): value for key, value in given.items() if key != "target"}
    if "target" not in given:
        return dict(given), []
    _, problems = read_node(group, option, str(given["target"]), values)
    dropped = [key for key in candidates if any(p.startswith(f"{group}.{key}=") for p in problems)]
    if not dropped:
        return dict(given), []
    own = read_option(group, option, origin.folders).keys
    kept = {key: value for key, value in given.items() if key not in dropped}
    return {**kept, **{key: own[key].value for key in dropped if key in own}}, dropped
