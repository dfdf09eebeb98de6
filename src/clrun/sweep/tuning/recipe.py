"""best.yaml: the chosen values as a recipe, so that the full stream runs with nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from clrun.config.run_config import RunConfig
from clrun.disk.files import storage_errors, write_text
from clrun.disk.secrets import hidden

PLACE = Path("experiment", "best.yaml")
"""Below the study: `--config-dir STUDY experiment=best` finds it."""

NOT_OF_IT = ("seed", "run_name", "output_root", "first_experiences")
"""Keys at the root that are for whoever runs it to say."""


def recipe_text(config: RunConfig, usual: RunConfig, comment: str) -> str:
    """The recipe that makes a configuration of `usual`, which has the same options."""
    choices = [f"  - override /{group}: {node.option}" for group, node in config.nodes.items()]
    keys = {
        group: changed
        for group, node in config.nodes.items()
        if (changed := _changed(node.values, usual.nodes[group].values))
    }
    root = _changed(vars(config.root), vars(usual.root))
    keys |= {key: value for key, value in root.items() if key not in NOT_OF_IT}
    lines = ["# @package _global_", *(f"# {line}".rstrip() for line in comment.splitlines())]
    text = "\n".join([*lines, "defaults:", *choices, ""])
    return text + ("\n" + yaml.safe_dump(hidden(keys), sort_keys=False) if keys else "")


def write_recipe(path: Path, text: str) -> Path:
    """Write it where `--config-dir` finds it; the file.

    Raises:
        StorageError: it cannot be written.
    """
    file = path / PLACE
    with storage_errors(file.parent):
        file.parent.mkdir(exist_ok=True)
    write_text(file, text)
    return file


def _changed(values: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if usual.get(key) != value}
