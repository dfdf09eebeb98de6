"""`clrun list`: what can be chosen, one line each, also from other installed packages."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from clrun.cli.parser import OneLineParser
from clrun.cli.text import hanging, line_width
from clrun.config.sources import GROUPS, LOGGERS, PLUGINS, RECIPES, options
from clrun.errors import ConfigError, did_you_mean

METRICS = "metric"
LISTED = (*GROUPS, LOGGERS, PLUGINS, RECIPES, METRICS)


def main(argv: Sequence[str]) -> int:
    """Print the options of the groups asked for, or of all."""
    parser = OneLineParser(
        prog="clrun list", description="What can be chosen, one line each: GROUP=OPTION."
    )
    parser.add_argument("group", nargs="*", help=f"one or more of: {', '.join(LISTED)}")
    parser.add_argument(
        "--config-dir", "-cd", action="append", default=[], help="a folder of your own"
    )
    arguments = parser.parse_args(argv)
    groups = [_group(word) for word in arguments.group] or list(LISTED)
    for position, group in enumerate(groups):
        if position:
            print()
        _print(group, list(entries(group, [Path(folder) for folder in arguments.config_dir])))
    return 0


def _group(word: str) -> str:
    """The group a person means: strategy, strategies, ..."""
    plurals = {"strategies": "strategy", "storage_policies": "storage_policy", "evals": "eval"}
    name = plurals.get(word, word if word in LISTED else word.removesuffix("s"))
    if name not in LISTED:
        guess = did_you_mean(word, [*LISTED, *plurals])
        raise ConfigError(f"list {word}: no such group.{guess} Groups: {', '.join(LISTED)}.")
    return name


def entries(group: str, folders: Sequence[Path]) -> Iterator[tuple[str, str]]:
    """(name, description) of each option of a group."""
    if group == METRICS:
        from clrun.metrics import plain_metrics  # NumPy takes 0.1 s to import

        for metric in plain_metrics().values():
            yield metric.key, f"{metric.label}: {metric.meaning}"
        return
    for option in options(group, folders):
        origin = "" if option.provider == "clrun" else f" [{option.provider}]"
        yield option.name, f"{option.summary}{origin}"


def _print(group: str, entries: Sequence[tuple[str, str]]) -> None:
    print(group)
    for line in hanging(entries, line_width() if sys.stdout.isatty() else None):
        print(line)
