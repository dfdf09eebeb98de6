"""From a composed configuration to a checked RunConfig, or every problem with it at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig

from clrun.config.composed_tree import Origin, plain_tree
from clrun.config.composing import composing
from clrun.config.keys import Known
from clrun.config.loggers import read_loggers
from clrun.config.moved import moved
from clrun.config.nodes import read_node
from clrun.config.plugins import read_plugins
from clrun.config.problems import MOST_NAMED, read, shown, unknown_keys
from clrun.config.repeats import read_repeats
from clrun.config.run_config import Cadence, Node, Root, RunConfig, SweepKeys
from clrun.config.sources import (
    GROUPS,
    LAUNCHER,
    LOGGERS,
    OF_A_RUN,
    RECIPES,
    REPEATS,
    SWEEP,
    options,
)
from clrun.errors import ConfigError, did_you_mean

ROOT_KEYS = tuple(Root.__dataclass_fields__)
CADENCE = "checkpoint"

MOVED = {"max_jobs": "sweep.max_jobs"}
"""A key at the root of before -> where it is now."""

OPTION = "option"
"""The key by which a saved node says which option it was."""


def check(composed: DictConfig, overrides: Sequence[str] = ()) -> RunConfig:
    """The configuration with every key known, typed and in its bounds. Imports no torch.

    Raises:
        ConfigError: with one line for each problem: unknown keys (also those added with +), wrong
            types, values out of bounds, and options that contradict each other.
    """
    with composing():
        tree = plain_tree(composed)
    return checked(tree, Origin.of(composed), overrides, Nodes())


def checked(
    tree: Mapping[str, Any], origin: Origin, overrides: Sequence[str], known: Nodes
) -> RunConfig:
    """`check` of a tree that is made plain, with nodes that are `known` from others.

    Raises:
        ConfigError: see `check`.
    """
    tree, notes = moved(tree, origin, overrides)
    problems = _unknown_root_keys(tree)
    root, more = read("", {k: v for k, v in tree.items() if k in ROOT_KEYS}, Root)
    problems += more
    cadence, more = read_cadence(tree.get(CADENCE))
    problems += more
    nodes: dict[str, Node] = {}
    for group in OF_A_RUN:
        node, more = known.node(group, tree.get(group), origin)
        problems += more
        if node is not None:
            nodes[group] = node
    sweep, launcher, more = _read_sweep(tree, origin, known)
    problems += more
    repeats, more = read_repeats(tree)
    problems += more
    listed = tree["strategy"].get("plugins") if isinstance(tree.get("strategy"), dict) else None
    plugins, more = known.plugins(listed, origin)
    problems += more
    loggers, more = known.loggers(tree.get(LOGGERS), origin)
    problems += more + Known.by_keys(nodes, plugins, overrides).conflicts()
    if problems:
        raise ConfigError(problems)
    return RunConfig(
        root=root,
        checkpoint=cadence,
        nodes=nodes,
        plugins=tuple(plugins),
        overrides=tuple(overrides),
        loggers=tuple(loggers),
        where=origin.where,
        sweep=sweep,
        launcher=launcher,
        repeats=repeats,
        notes=notes,
    )


class Nodes:
    """Nodes that were checked: the jobs of a sweep have most of them in common."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], Any] = {}

    def node(self, group: str, given: Any, origin: Origin) -> tuple[Node | None, list[str]]:
        """One group's checked node, or None, and the problems with it."""
        key = (group, repr(given))
        if key not in self._seen:
            self._seen[key] = _node(group, given, origin.choices.get(group))
        node, problems = self._seen[key]
        return node, list(problems)

    def plugins(self, listed: Any, origin: Origin) -> tuple[list[Node], list[str]]:
        """A checked node for each plugin that is listed, and the problems with these."""
        key = ("plugins", repr(listed))
        if key not in self._seen:
            self._seen[key] = read_plugins(listed, origin.folders)
        plugins, problems = self._seen[key]
        return plugins, list(problems)

    def loggers(self, given: Any, origin: Origin) -> tuple[list[Node], list[str]]:
        """A checked node for each logger that is chosen, and the problems with these."""
        key = (LOGGERS, repr(given))
        if key not in self._seen:
            self._seen[key] = read_loggers(given, origin.folders)
        loggers, problems = self._seen[key]
        return loggers, list(problems)


def read_cadence(given: object) -> tuple[Any, list[str]]:
    """When states are saved, or None, and every problem with it."""
    if not isinstance(given, Mapping):
        return None, [f"{CADENCE}={shown(given)}: has keys, e.g. {CADENCE}.every_seconds=60."]
    return read(f"{CADENCE}.", given, Cadence)


def check_sweep(composed: DictConfig) -> tuple[SweepKeys, Node | None]:
    """How the jobs of a sweep are run, and what starts their workers, of the sweep as a whole.

    Raises:
        ConfigError: with one line for each problem.
    """
    with composing():
        tree = plain_tree(composed, (SWEEP, LAUNCHER))
    sweep, launcher, problems = _read_sweep(tree, Origin.of(composed), Nodes())
    if problems:
        raise ConfigError(problems)
    return sweep, launcher


def _read_sweep(
    tree: Mapping[str, Any], origin: Origin, known: Nodes
) -> tuple[Any, Node | None, list[str]]:
    """How jobs of a sweep are run, what starts their workers, and every problem with these.

    A run that was saved says neither.
    """
    given = tree.get(SWEEP, {})
    if not isinstance(given, Mapping):
        return None, None, [f"{SWEEP}={shown(given)}: has keys, e.g. {SWEEP}.retries=2."]
    sweep, problems = read(f"{SWEEP}.", given, SweepKeys)
    if LAUNCHER not in tree:
        return sweep, None, problems
    launcher, more = known.node(LAUNCHER, tree[LAUNCHER], origin)
    return sweep, launcher, problems + more


def _unknown_root_keys(tree: Mapping[str, Any]) -> list[str]:
    """Keys at the root that are none, with the group meant where a group has that key."""
    lines = []
    known = (*ROOT_KEYS, *REPEATS, CADENCE, SWEEP, *GROUPS, LOGGERS)
    wrong = [key for key in tree if key not in known and not _is_of_before(key, tree)]
    if len(wrong) > MOST_NAMED:
        lines.append(f"{len(wrong):,} keys at the root are none; the first are these.")
    for key in wrong[:MOST_NAMED]:
        if key == RECIPES:
            lines.append(
                f"{RECIPES}: the file of a recipe begins with the line `# @package _global_`, "
                "and this one does not."
            )
            continue
        if key in MOVED:
            lines.append(f"{key}={shown(tree[key])}: use {MOVED[key]}={shown(tree[key])}.")
            continue
        homes = [
            group for group in GROUPS if isinstance(tree.get(group), dict) and key in tree[group]
        ]
        guess = f" Did you mean '{homes[0]}.{key}'?" if homes else None
        lines += unknown_keys("", {key: tree[key]}, known, guess)
    return lines


def _is_of_before(key: str, tree: Mapping[str, Any]) -> bool:
    """Whether a run was saved with this key when it still was at the root."""
    return key in MOVED and SWEEP not in tree


def _node(group: str, given: Any, choice: str | None) -> tuple[Node | None, list[str]]:
    """One group's checked node, or None, and the problems with it."""
    is_base = choice is not None and choice.startswith("_")  # what options are based on
    if is_base or not isinstance(given, Mapping):
        named = choice if is_base else given
        names = [option.name for option in options(group)]
        if named in names:
            line = f"{group}={named}: a saved run takes keys alone, e.g. {group}.KEY=VALUE."
            return None, [f"{line} For another option leave out --config-path."]
        guess = did_you_mean(str(named), names)
        line = f"{group}={shown(named)}: choose an option of this group.{guess}"
        return None, [f"{line} Options: {', '.join(names)}."]
    if "target" not in given:
        return None, [f"{group}.target: the option's YAML must say target: package.module:Class."]
    target = str(given["target"])
    values = {str(key): value for key, value in given.items() if key != "target"}
    if choice is None:  # a saved run is the whole configuration, and has it beside the target
        choice = values.pop(OPTION, None)
    return read_node(group, str(choice or target.rpartition(":")[2]), target, values)
