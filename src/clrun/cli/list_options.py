"""`clrun list`: what can be chosen, one line each, also from other installed packages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from clrun.cli.parser import OneLineParser
from clrun.config.sources import GROUPS, PLUGINS, RECIPES, Option, options
from clrun.errors import ConfigError, did_you_mean

LISTED = (*GROUPS, PLUGINS, RECIPES)


def main(argv: Sequence[str]) -> int:
    """Print the options of the groups asked for, or of all."""
    parser = OneLineParser(
        prog="clrun list", description="What can be chosen, one line each: GROUP=OPTION."
    )
    parser.add_argument("group", nargs="*", help=f"one or more of: {', '.join(LISTED)}")
    parser.add_argument("--config-dir", action="append", default=[], help="a folder of your own")
    arguments = parser.parse_args(argv)
    groups = [_group(word) for word in arguments.group] or list(LISTED)
    for position, group in enumerate(groups):
        if position:
            print()
        _print(group, options(group, [Path(folder) for folder in arguments.config_dir]))
    return 0


def _group(word: str) -> str:
    """The group a person means: strategy, strategies, ..."""
    plurals = {"strategies": "strategy", "storage_policies": "storage_policy", "evals": "eval"}
    name = plurals.get(word, word if word in LISTED else word.removesuffix("s"))
    if name not in LISTED:
        guess = did_you_mean(word, [*LISTED, *plurals])
        raise ConfigError(f"list {word}: no such group.{guess} Groups: {', '.join(LISTED)}.")
    return name


def _print(group: str, found: Sequence[Option]) -> None:
    print(group)
    width = max((len(option.name) for option in found), default=0)
    for option in found:
        origin = "" if option.provider == "clrun" else f" [{option.provider}]"
        print(f"  {option.name:<{width}}  {option.summary}{origin}")
