"""run.json as whoever only shows or compares runs takes it: without what is damaged in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clrun.records.run_folder import read_record

TEXTS = ("run_name", "error", "started", "status")
MAPPINGS = ("seeds", "versions", "data")
INSIDE = {"seed": int, "class_names": list}
PARTS = ("root", "checkpoint")


def sound_record(folder: Path) -> dict[str, Any]:
    """The run.json of a folder, what has not the form that a run gives it left out; empty where it
    is damaged as a whole, or not there."""
    return {key: value for key, value in read_record(folder).items() if _is_sound(key, value)}


def _is_sound(key: str, value: object) -> bool:
    if key in TEXTS:
        return isinstance(value, str | None)
    if key in MAPPINGS:
        return isinstance(value, Mapping) and all(
            isinstance(value.get(name, form()), form) for name, form in INSIDE.items()
        )
    return _is_config(value) if key == "config" else True


def _is_config(config: object) -> bool:
    """Whether it has the form that `RunConfig.plain` gives, as far as anything is read of it."""
    if not isinstance(config, Mapping):
        return False
    nodes, parts = config.get("nodes", {}), [config.get(part, {}) for part in PARTS]
    return (
        all(isinstance(part, Mapping) for part in (nodes, *parts))
        and all(map(_is_node, nodes.values()))
        and isinstance(config.get("overrides", []), list)
    )


def _is_node(node: object) -> bool:
    return (
        isinstance(node, Mapping)
        and isinstance(node.get("option"), str)
        and isinstance(node.get("values"), Mapping)
    )
