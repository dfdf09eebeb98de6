"""From a composed configuration to a checked RunConfig, or every problem with it at once."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from clrun.config.composing import composing
from clrun.config.keys import Known
from clrun.config.nodes import read_node
from clrun.config.plugins import read_plugins
from clrun.config.problems import MOST_NAMED, read, shown, unknown_keys
from clrun.config.run_config import Cadence, Node, Root, RunConfig, SweepKeys
from clrun.config.sources import (
    GROUPS,
    LAUNCHER,
    OF_A_RUN,
    RECIPES,
    conf_root,
    folders,
    make_importable,
    options,
)
from clrun.config.trust import trust_now
from clrun.errors import ConfigError, did_you_mean

ROOT_KEYS = tuple(Root.__dataclass_fields__)
CADENCE, SWEEP = "checkpoint", "sweep"

MOVED = {"max_jobs": "sweep.max_jobs"}
"""A key at the root of before -> where it is now."""

OPTION = "option"
"""The key by which a saved node says which option it was."""

OWN = {"command-line": "--config-dir", "main": "--config-path"}
"""Hydra's name for who adds a configuration folder -> the option by which a user does"""


def check(composed: DictConfig, overrides: Sequence[str] = ()) -> RunConfig:
    """The configuration with every key known, typed and in its bounds. Imports no torch.

    Raises:
        ConfigError: with one line for each problem: unknown keys (also those added with +), wrong
            types, values out of bounds, and options that contradict each other.
    """
    make_importable(path for path, provider in _sources(composed) if provider in OWN)
    with composing():
        tree = _plain(composed)
    choices = OmegaConf.select(composed, "hydra.runtime.choices") or {}
    problems = _unknown_root_keys(tree)
    root, more = read("", {k: v for k, v in tree.items() if k in ROOT_KEYS}, Root)
    problems += more
    cadence, more = read_cadence(tree.get(CADENCE))
    problems += more
    nodes: dict[str, Node] = {}
    for group in OF_A_RUN:
        node, more = _node(group, tree.get(group), choices.get(group))
        problems += more
        if node is not None:
            nodes[group] = node
    sweep, launcher, more = _read_sweep(tree, choices.get(LAUNCHER))
    problems += more
    listed = tree["strategy"].get("plugins") if isinstance(tree.get("strategy"), dict) else None
    plugins, more = read_plugins(listed, _folders(composed))
    problems += more + Known.by_keys(nodes, plugins).conflicts()
    if problems:
        raise ConfigError(problems)
    return RunConfig(
        root=root,
        checkpoint=cadence,
        nodes=nodes,
        plugins=tuple(plugins),
        overrides=tuple(overrides),
        where=tuple(_where(composed)),
        sweep=sweep,
        launcher=launcher,
    )


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
        tree = _plain(composed, (SWEEP, LAUNCHER))
    choices = OmegaConf.select(composed, "hydra.runtime.choices") or {}
    sweep, launcher, problems = _read_sweep(tree, choices.get(LAUNCHER))
    if problems:
        raise ConfigError(problems)
    return sweep, launcher


def _read_sweep(tree: Mapping[str, Any], choice: str | None) -> tuple[Any, Node | None, list[str]]:
    """How jobs of a sweep are run, what starts their workers, and every problem with these.

    A run that was saved says neither.
    """
    given = tree.get(SWEEP, {})
    if not isinstance(given, Mapping):
        return None, None, [f"{SWEEP}={shown(given)}: has keys, e.g. {SWEEP}.retries=2."]
    sweep, problems = read(f"{SWEEP}.", given, SweepKeys)
    if LAUNCHER not in tree:
        return sweep, None, problems
    launcher, more = _node(LAUNCHER, tree[LAUNCHER], choice)
    return sweep, launcher, problems + more


def _where(composed: DictConfig) -> Iterator[str]:
    """The --config-* words by which this tree was composed from the folders it came from."""
    for path, provider in _foreign(composed):
        yield from (OWN[provider], str(path))
    if trust_now().everything and _foreign(composed):
        yield "--trust"
    name = OmegaConf.select(composed, "hydra.job.config_name")
    if name not in (None, "config"):
        yield from ("--config-name", name)


def _unknown_root_keys(tree: Mapping[str, Any]) -> list[str]:
    """Keys at the root that are none, with the group meant where a group has that key."""
    lines = []
    known = (*ROOT_KEYS, CADENCE, SWEEP, *GROUPS)
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


def _plain(composed: DictConfig, keys: Collection[str] | None = None) -> dict[str, Any]:
    """The tree without Hydra's node, or some of its keys, as dicts and lists, interpolations
    resolved."""
    tree: dict[str, Any] = {}
    for key in (str(key) for key in composed if key != "hydra"):
        if keys is not None and key not in keys:
            continue
        try:
            value = OmegaConf.select(composed, key)
            if OmegaConf.is_config(value):
                value = OmegaConf.to_container(value, resolve=True)
        except OmegaConfBaseException as error:
            place = getattr(error, "full_key", None) or key
            raise ConfigError(f"{place}: {str(error).splitlines()[0]}.") from None
        tree[key] = value
    return tree


def _sources(composed: DictConfig) -> list[tuple[Path, str]]:
    """The folders this tree was composed from, the first to win first, and who named each."""
    sources = OmegaConf.select(composed, "hydra.runtime.config_sources") or []
    return [(Path(s.path), str(s.provider)) for s in sources if s.schema == "file"]


def _foreign(composed: DictConfig) -> list[tuple[Path, str]]:
    """Those that a user named, but our own."""
    ours = conf_root().resolve()
    return [(p, by) for p, by in _sources(composed) if by in OWN and p.resolve() != ours]


def _folders(composed: DictConfig) -> list[Path]:
    """The configuration folders this tree was composed from, the first to win first."""
    named = [path for path, _ in _sources(composed)]
    return [*named, *(folder for _, folder in folders() if folder not in named)]


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
