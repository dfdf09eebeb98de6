"""Plugins: parts that any strategy can carry, listed in `strategy.plugins` by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from clrun.config.bases import keys_class
from clrun.config.problems import as_read, read, shown
from clrun.config.run_config import Node
from clrun.errors import did_you_mean


def read_plugins(given: object, folders: Sequence[Path]) -> tuple[list[Node], list[str]]:
    """A checked node for each entry, its missing keys filled from conf/plugin/<name>.yaml."""
    known = {p.stem: p for folder in reversed(folders) for p in folder.glob("plugin/*.yaml")}
    nodes, problems = [], []
    for position, entry in enumerate(given if isinstance(given, list) else []):
        prefix = f"strategy.plugins[{position}]."
        name = entry.get("name") if isinstance(entry, Mapping) else None
        if name not in known:
            allowed = sorted(known)
            problems.append(
                f"{prefix}name={shown(name)}: there is no such plugin."
                f"{did_you_mean(str(name), allowed)} Plugins: {', '.join(allowed)}."
            )
            continue
        node, more = _one(prefix, entry, known[name])
        problems += more
        if node is not None:
            nodes.append(node)
    return nodes, problems


def _one(prefix: str, entry: Mapping[str, Any], path: Path) -> tuple[Node | None, list[str]]:
    defaults: dict[str, Any] = OmegaConf.to_container(OmegaConf.load(path))  # type: ignore[assignment]
    target = defaults.pop("target")
    defaults = {key: value for key, value in defaults.items() if value != "???"}
    values = {**defaults, **{key: value for key, value in entry.items() if key != "name"}}
    config, problems = read(prefix, values, keys_class("plugin", target))
    if config is None or problems:
        return None, problems
    node = Node("plugin", path.stem, target, as_read(values, config), config)
    return node, []
