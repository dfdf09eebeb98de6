"""run.json and results.json as whoever only shows or compares runs takes them: without what is
damaged in them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clrun.records.run_folder import read_record

TEXTS = ("run_name", "error", "started", "status")
MAPPINGS = ("seeds", "versions", "data")
INSIDE = {"seed": int, "class_names": list}
BY_PHASE_OR_PART = ("wall_seconds", "cpu_seconds", "state_bytes")
PARTS = ("root", "checkpoint")


def sound_record(folder: Path) -> dict[str, Any]:
    """The run.json of a folder, what has not the form that a run gives it left out; empty where it
    is damaged as a whole, or not there."""
    return {key: value for key, value in read_record(folder).items() if _is_sound(key, value)}


def sound_results(results: Mapping[str, Any]) -> dict[str, Any]:
    """A results.json that was read; its costs and what else is shown of it are left out where they
    have not the form that a run gives them."""
    forms = {"cost": _is_cost, "memory": _is_memory, "notes": _is_mapping}
    return {k: v for k, v in results.items() if k not in forms or v is None or forms[k](v)}


def _is_sound(key: str, value: object) -> bool:
    if key in TEXTS:
        return isinstance(value, str | None)
    if key in MAPPINGS:
        return isinstance(value, Mapping) and all(
            isinstance(value.get(name, form()), form) for name, form in INSIDE.items()
        )
    return _is_config(value) if key == "config" else True


def _is_cost(cost: object) -> bool:
    return isinstance(cost, Mapping) and all(
        _is_number(value)
        if key not in BY_PHASE_OR_PART or value is None
        else isinstance(value, Mapping) and None not in value.values() and _are_numbers(value)
        for key, value in cost.items()
    )


def _is_memory(memory: object) -> bool:
    return isinstance(memory, Mapping) and _is_number(memory.get("bytes"))


def _is_mapping(value: object) -> bool:
    return isinstance(value, Mapping)


def _are_numbers(values: Mapping[str, object]) -> bool:
    return all(map(_is_number, values.values()))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | None)


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
