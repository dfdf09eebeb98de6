"""The loggers of a run: as many as `logger=` chooses, each with its keys below its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from clrun.config.nodes import read_node
from clrun.config.problems import shown
from clrun.config.run_config import Node
from clrun.config.sources import LOGGERS, options
from clrun.errors import did_you_mean

NONE = "none"
"""The option that stands for no logger"""


def read_loggers(given: object, folders: Sequence[Path]) -> tuple[list[Node], list[str]]:
    """A checked node for each logger that is chosen, in order, and every problem with them."""
    if given is None:
        return [], []
    if not isinstance(given, Mapping):
        return [], [f"{LOGGERS}={shown(given)}: choose an option of this group.{_known(folders)}"]
    nodes, problems = [], []
    for name, values in given.items():
        if name == NONE and not values:
            continue
        if not (isinstance(values, Mapping) and "target" in values):
            problems.append(_not_chosen(str(name), folders))
            continue
        keys = {str(key): value for key, value in values.items() if key != "target"}
        node, more = read_logger(str(name), str(values["target"]), keys)
        problems += more
        nodes += [] if node is None else [node]
    return nodes, problems


def read_logger(
    option: str, target: str, values: Mapping[str, Any]
) -> tuple[Node | None, list[str]]:
    """The checked node of a logger, or None, and every problem with it."""
    node, problems = read_node(f"{LOGGERS}.{option}", option, target, values)
    return None if node is None else replace(node, group=LOGGERS), problems


def _not_chosen(name: str, folders: Sequence[Path]) -> str:
    known = _names(folders)
    if name in known and name != NONE:
        return f"{LOGGERS}.{name}: this logger is not chosen. Add {LOGGERS}={name}."
    return f"{LOGGERS}.{name}: there is no such logger.{did_you_mean(name, known)}{_known(folders)}"


def _known(folders: Sequence[Path]) -> str:
    return f" Options: {', '.join(_names(folders))}."


def _names(folders: Sequence[Path]) -> list[str]:
    return [option.name for option in options(LOGGERS, folders)]
