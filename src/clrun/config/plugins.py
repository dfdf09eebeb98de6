"""Plugins: parts that any strategy can carry, listed in `strategy.plugins` by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from clrun.config.bases import keys_class
from clrun.config.problems import as_read, read, shown
from clrun.config.run_config import Node
from clrun.config.yaml_file import yaml_errors, yaml_text
from clrun.errors import ConfigError, did_you_mean


def read_plugins(given: object, folders: Sequence[Path]) -> tuple[list[Node], list[str]]:
    """A checked node for each entry, its missing keys filled from conf/plugin/<name>.yaml."""
    known = {p.stem: p for folder in reversed(folders) for p in folder.glob("plugin/*.yaml")}
    nodes, problems = [], []
    for position, entry in enumerate(given if isinstance(given, list) else []):
        prefix = f"strategy.plugins[{position}]."
        name = entry.get("name") if isinstance(entry, Mapping) else None
        if not isinstance(name, str) or name not in known:
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
    try:
        with yaml_errors(path):
            read_file = OmegaConf.create(yaml_text(path))
        defaults: dict[str, Any] = OmegaConf.to_container(read_file)  # type: ignore[assignment]
        target = str(defaults.pop("target", ""))
        schema = keys_class("plugin", target)
    except ConfigError as error:
        return None, [f"{prefix}{problem}" for problem in error.problems]
    defaults = {key: value for key, value in defaults.items() if value != "???"}
    values = {**defaults, **{key: value for key, value in entry.items() if key != "name"}}
    config, problems = read(prefix, values, schema)
    if config is None or problems:
        return None, problems
    node = Node("plugin", path.stem, target, as_read(values, config), config)
    return node, []
