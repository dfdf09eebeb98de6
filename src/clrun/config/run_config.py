"""The checked configuration of one run: what the runner and every record of a run start from."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from clrun.config.bounds import Count, Natural, OutputPath, Positive, Switch
from clrun.config.typed_words import MOST_JOBS
from clrun.disk.secrets import hidden

UNNAMED = ("run_name", "output_root", "report", "watts", "checkpoint", "logger")
"""Keys at the root that change nothing of what is computed."""


@dataclass(frozen=True, kw_only=True)
class Root:
    """The keys of conf/config.yaml that belong to no group."""

    seed: Natural
    run_name: str | None
    output_root: OutputPath
    log_every: Count
    report: Switch = True
    """a page is written at a run's end; with a default for records of before it"""
    first_experiences: Count | None = None
    """learnt and scored alone, the others sealed (`streams.guard`); with a default, which records
    of before it need"""
    watts: Positive | None = None
    """what the machine draws while it computes, for an estimate of the energy"""


@dataclass(frozen=True, kw_only=True)
class Cadence:
    """When the state of a run is saved: `checkpoint` in conf/config.yaml."""

    every_steps: Count | None
    every_seconds: Positive | None
    keep: Count


@dataclass(frozen=True, kw_only=True)
class SweepKeys:
    """How the jobs of a sweep are run: `sweep` in conf/config.yaml. They change no number.

    The defaults are for configurations that were saved without these keys.
    """

    max_jobs: Count = MOST_JOBS
    share: Switch = True
    on_error: Literal["continue", "stop"] = "continue"
    retries: Natural = 2
    time_limit: Positive | None = None


@dataclass(frozen=True, kw_only=True)
class RepeatKeys:
    """How often an experiment is run, and beside which references: keys at the root of
    conf/config.yaml (`config.repeats`). They change no number.

    The defaults are for configurations that were saved without these keys.
    """

    seeds: Count | Literal["auto"] | None = None
    seeds_width: Positive = 0.02
    seeds_max: Count = 20
    references: Switch = False


@dataclass(frozen=True)
class Node:
    """One option of one group: a component's class and the values of its `Config`."""

    group: str
    option: str
    target: str
    values: Mapping[str, Any]
    config: Any
    """The values as the component's own `Config` dataclass, bounds checked."""
    parts: Mapping[str, Node] = field(default_factory=dict)
    """components that some of the keys name (`config.nodes.Part`), by that key"""
    is_own: bool = False
    """it stands for what was handed over from Python, and cannot be built again"""


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One run: the root keys, one node for each group, and the overrides that led here."""

    root: Root
    checkpoint: Cadence
    nodes: Mapping[str, Node]
    plugins: tuple[Node, ...]
    """What `strategy.plugins` lists, each with all its keys."""
    overrides: tuple[str, ...]
    loggers: tuple[Node, ...] = ()
    """what takes the run's numbers besides metrics.jsonl; changes none of them"""
    where: tuple[str, ...] = ()
    """the --config-* words that say where the configuration comes from, their folders absolute"""
    sweep: SweepKeys = field(default_factory=SweepKeys, compare=False)
    launcher: Node | None = field(default=None, compare=False)
    repeats: RepeatKeys = field(default_factory=RepeatKeys, compare=False)
    """This, `sweep` and `launcher` are of a sweep as a whole. No record of a run has them."""
    notes: tuple[str, ...] = field(default=(), compare=False)
    """what a user should know of how the keys came about"""

    @property
    def seed(self) -> int:
        return self.root.seed

    @property
    def tricks(self) -> bool:
        """Whether what is only for speed is done (`device.tricks`)."""
        return bool(self.nodes["device"].config.tricks)

    def as_dict(self) -> dict[str, Any]:
        """The resolved configuration as it is saved: root keys, then one mapping for each group."""
        groups = {name: {"target": node.target, **node.values} for name, node in self.nodes.items()}
        loggers = {node.option: {"target": node.target, **node.values} for node in self.loggers}
        return {
            **vars(self.root),
            "checkpoint": dict(vars(self.checkpoint)),
            **groups,
            "logger": loggers,
        }

    def plain(self) -> dict[str, Any]:
        """The whole configuration in values of JSON, the names of its options included."""
        return {
            "root": dict(vars(self.root)),
            "checkpoint": dict(vars(self.checkpoint)),
            "nodes": {group: _plain(node) for group, node in self.nodes.items()},
            "plugins": [_plain(node) for node in self.plugins],
            "loggers": [_plain(node) for node in self.loggers],
            "overrides": list(self.overrides),
            "where": list(self.where),
        }

    @staticmethod
    def of_plain(plain: object) -> RunConfig:
        """The configuration that `plain` gave, checked again.

        Raises:
            ConfigError: it is none, or not one that could have been given on a command line.
        """
        from clrun.config.saved import read_plain  # reads what this module defines

        return read_plain(plain)

    def hash(self) -> str:
        """Twelve hex digits that name the experiment: what is computed, not where it is written."""
        named = {key: value for key, value in self.as_dict().items() if key not in UNNAMED}
        if self.root.first_experiences is None:
            del named["first_experiences"]  # runs of before the key keep their names
        # a plugin counts with all its keys, whichever of them were spelled out
        named["strategy"] = {k: v for k, v in named["strategy"].items() if k != "plugins"}
        named["plugins"] = [{"target": node.target, **node.values} for node in self.plugins]
        canonical = json.dumps(named, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]

    def command(self) -> tuple[str, ...]:
        """The words that run this again, from any folder and in any environment."""
        return ("clrun", *self.where, *(self._as_it_ran(word) for word in self.overrides))

    def _as_it_ran(self, override: str) -> str:
        """An override with what its value was read as, where that depends on where it is read."""
        key, _, typed = override.partition("=")
        group, _, name = key.lstrip("+").rpartition(".")
        value = self._values_of(group).get(name)
        if hidden(value) != value:
            return override  # with the interpolation that was typed
        if isinstance(value, str) and (os.path.isabs(value) or "${" in typed):
            return f"{key}={quoted(value)}"
        if isinstance(value, int | float) and "${" in typed:
            return f"{key}={json.dumps(value)}"
        return override

    def _values_of(self, group: str) -> Mapping[str, Any]:
        """The values of a group, or of the root; none where it is something else."""
        if not group:
            return vars(self.root)
        if group == "checkpoint":
            return vars(self.checkpoint)
        return self.nodes[group].values if group in self.nodes else {}

    def label(self) -> str:
        """A readable name: strategy, benchmark and seed."""
        return f"{self.nodes['strategy'].option}-{self.nodes['benchmark'].option}-s{self.seed}"


def _plain(node: Node) -> dict[str, Any]:
    own = {"own": True} if node.is_own else {}
    return {"option": node.option, "target": node.target, "values": dict(node.values), **own}


def quoted(text: str) -> str:
    """A text as one value of Hydra's override grammar."""
    if re.fullmatch(r"[A-Za-z_/][\w/.-]*", text) and text.lower() not in ("true", "false", "null"):
        return text
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
