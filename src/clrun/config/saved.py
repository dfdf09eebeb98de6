"""The configuration of a saved run, read from its record and checked as if it were typed again.

A record may come from somebody else, or have been edited: nothing in it is believed. Names of
options are only shown, and values go through the same classes as those of a command line.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from clrun.config.bases import keys_class
from clrun.config.check import ROOT_KEYS, read_cadence
from clrun.config.keys import Keys, Known
from clrun.config.loggers import read_logger
from clrun.config.nodes import read_node
from clrun.config.problems import as_read, read, shown
from clrun.config.run_config import Node, Root, RunConfig
from clrun.config.sources import OF_A_RUN, make_importable
from clrun.disk.secrets import revealed
from clrun.errors import ConfigError

OURS = ("benchmark", "model")
"""Groups that may hold what was handed over from Python."""

FOLDERS = ("--config-dir", "--config-path")


def read_plain(plain: object) -> RunConfig:
    """What `RunConfig.plain` gave; see `RunConfig.of_plain`."""
    saved = _mapping("config", revealed(plain))
    where, overrides = _texts("where", saved), _texts("overrides", saved)
    make_importable(Path(path) for word, path in pairwise(where) if word in FOLDERS)
    given_root = _mapping("root", saved.get("root"))
    root, problems = read("", {k: v for k, v in given_root.items() if k in ROOT_KEYS}, Root)
    cadence, more = read_cadence(saved.get("checkpoint"))
    problems += more
    nodes: dict[str, Node] = {}
    given_nodes = _mapping("nodes", saved.get("nodes"))
    for group in OF_A_RUN:
        node, more = _node(group, given_nodes.get(group))
        problems += more
        if node is not None:
            nodes[group] = node
    plugins, more = _plugins(saved.get("plugins"))
    problems += more
    loggers, more = _loggers(saved.get("loggers", []))
    problems += more + Known.by_keys(nodes, plugins).conflicts()
    if problems:
        raise ConfigError([f"config: {problem}" for problem in problems])
    return RunConfig(
        root=root,
        checkpoint=cadence,
        nodes=nodes,
        plugins=tuple(plugins),
        overrides=overrides,
        loggers=tuple(loggers),
        where=where,
    )


def _node(group: str, saved: object) -> tuple[Node | None, list[str]]:
    node = _mapping(group, saved)
    option, target = _text(f"{group}.option", node), _text(f"{group}.target", node)
    values = _mapping(f"{group}.values", node.get("values"))
    if group in OURS and node.get("own") is True:
        return Node(group, option, target, values, Keys(), is_own=True), []
    return read_node(group, option, target, values)


def _plugins(saved: object) -> tuple[list[Node], list[str]]:
    if not isinstance(saved, list):
        raise _damaged("plugins", saved)
    nodes, problems = [], []
    for position, entry in enumerate(saved):
        name = f"plugins[{position}]"
        node = _mapping(name, entry)
        option, target = _text(f"{name}.option", node), _text(f"{name}.target", node)
        values = _mapping(f"{name}.values", node.get("values"))
        config, more = read(f"strategy.{name}.", values, keys_class("plugin", target))
        problems += more
        if config is not None:
            nodes.append(Node("plugin", option, target, as_read(values, config), config))
    return nodes, problems


def _loggers(saved: object) -> tuple[list[Node], list[str]]:
    """Those of the run; one that was saved before there were any has none."""
    if not isinstance(saved, list):
        raise _damaged("loggers", saved)
    nodes, problems = [], []
    for position, entry in enumerate(saved):
        name = f"loggers[{position}]"
        given = _mapping(name, entry)
        option, target = _text(f"{name}.option", given), _text(f"{name}.target", given)
        node, more = read_logger(option, target, _mapping(f"{name}.values", given.get("values")))
        problems += more
        nodes += [] if node is None else [node]
    return nodes, problems


def _mapping(name: str, value: object) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise _damaged(name, value)
    return {str(key): value[key] for key in value}


def _text(name: str, node: Mapping[str, Any]) -> str:
    value = node.get(name.rpartition(".")[2])
    if not isinstance(value, str):
        raise _damaged(name, value)
    return value


def _texts(name: str, saved: Mapping[str, Any]) -> tuple[str, ...]:
    value = saved.get(name)
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise _damaged(name, value)
    return tuple(value)


def _damaged(name: str, value: object) -> ConfigError:
    return ConfigError(f"config: {name}={shown(value)}: this is no configuration of a run.")
