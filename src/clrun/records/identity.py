"""What the numbers of a run follow from beside its keys, and what of it is another than it was."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clrun.config.schema import source_of

if TYPE_CHECKING:
    from clrun.config.run_config import Node, RunConfig

PACKAGE = Path(__file__).resolve().parents[1]

KEYS = ("config_hash", "versions", "code", "device", "threads", "channels_last", "processor")
PARTS = {"data": "fingerprint", "weights": "sha256", "chooser": "sha256"}
"""What is compared of run.json, and of some of its entries the one that tells their content."""


def code_of(config: RunConfig) -> dict[str, str]:
    """A digest of clrun's sources, and of each module besides that a part of the run is from."""
    found = {"clrun": sources()}
    for node in _parts(config):
        module = node.target.partition(":")[0]
        if not module.startswith("clrun."):
            path = source_of(module)
            if path is not None:
                found[module] = _digest(path.read_bytes())
    return found


@cache
def sources() -> str:
    """A digest of clrun's own modules: a commit would not tell of what is changed in a checkout."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0")
        digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """A line for each thing that was another when a run was started; both as run.json has them."""
    was, is_now = _flat(before), _flat(now)
    return [
        f"{key}: {was.get(key, 'nothing')} before, {is_now.get(key, 'nothing')} now"
        for key in {**was, **is_now}
        if was.get(key) != is_now.get(key)
    ]


def _flat(record: Mapping[str, Any]) -> dict[str, str]:
    given = {key: record.get(key) for key in KEYS}
    for key, telling in PARTS.items():
        entry = record.get(key)
        given[key] = {telling: entry.get(telling)} if isinstance(entry, Mapping) else None
    flat = {}
    for key, value in given.items():
        for name, part in value.items() if isinstance(value, Mapping) else [("", value)]:
            flat[f"{key}.{name}".rstrip(".")] = str(part)
    return flat


def _parts(config: RunConfig) -> Iterator[Node]:
    """Every component that can be built again, the parts of others too."""
    for node in (*config.nodes.values(), *config.plugins):
        if not node.is_own:
            yield node
            yield from node.parts.values()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
