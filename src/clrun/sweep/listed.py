"""The jobs of a sweep without the bulk of their configurations."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from clrun.sweep.manifest import Job, each_job
from clrun.sweep.record import swept_keys


class Listed(NamedTuple):
    """A job, without the bulk of its configuration."""

    number: int | None
    """None: what several jobs have in common"""
    values: Mapping[str, str]
    folder: str
    config_hash: str
    epochs: int | None
    """over an experience; None for a strategy that has none, or counts updates"""
    experiences: int | None
    """of the stream, where the configuration says it"""


def each_listed(path: Path) -> Iterator[Listed]:
    """The jobs of a sweep, in order, without the bulk of their configurations.

    Raises:
        ConfigError: the folder holds no sweep, or its manifest is damaged.
    """
    swept = swept_keys(path)
    return (listed(job, swept) for job in each_job(path))


def listed(job: Job, swept: Sequence[str]) -> Listed:
    """A job without the bulk of its configuration, and with its values of all keys that are swept
    by now: of an earlier job a key that was added later is among its words, or has its default."""
    values = dict(job.values)
    missing = [key for key in swept if key not in values]
    if missing:
        words = (word.lstrip("+").partition("=") for word in job.overrides)
        typed = {key: value for key, _, value in words}
        known = {key: typed.get(key, set_to(job.config, key)) for key in swept}
        values = {key: value for key, value in known.items() if value is not None} | values
    return Listed(job.number, values, job.folder, job.hash, *sizes(job.config))


def set_to(config: Mapping[str, Any], key: str) -> str | None:
    """What a key is set to, as it would be typed; None where that is not known."""
    group, _, name = key.rpartition(".")
    try:
        if group:
            value = config["nodes"][group]["values"][name]
        elif key in config["nodes"]:
            value = config["nodes"][key]["option"]
        else:
            value = config["root"][key]
    except LookupError:
        return None
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def sizes(config: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """(epochs over an experience, experiences) as far as a configuration says them."""
    benchmark, strategy = (_values(config, name) for name in ("benchmark", "strategy"))
    is_cut = benchmark.get("rows_per_experience") is not None
    experiences = None if is_cut else benchmark.get("n_experiences")
    first = config.get("root", {}).get("first_experiences")  # of older records there is none
    experiences = experiences if first is None else first
    is_by_updates = strategy.get("train_iterations") is not None
    epochs = None if is_by_updates else _number(strategy.get("train_epochs"))
    return epochs, _number(experiences)


def _values(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    try:
        values = config["nodes"][name]["values"]
    except (LookupError, TypeError):
        return {}
    return values if isinstance(values, Mapping) else {}


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and value > 0 else None
