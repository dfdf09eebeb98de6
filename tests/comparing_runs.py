"""What two runs must have in common that differ in nothing but when and where they ran."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from clrun.records.raw_log import read_raw_log

CLOCKS = ("seconds", "wall_seconds", "rss_peak_bytes")


def lines(folder: Path) -> list[dict[str, Any]]:
    """The raw log, without times and memory peaks."""
    raw = read_raw_log(folder / "metrics.jsonl")
    return [{k: v for k, v in line.items() if k not in CLOCKS} for line in raw]


def results(folder: Path) -> dict[str, Any]:
    """results.json, without times and memory peaks."""
    found = json.loads((folder / "results.json").read_text())
    for name in ("wall_seconds", "cpu_seconds", "peak_rss_bytes"):
        del found["cost"][name]
    return found


def leaves(state: Any, name: str = "") -> dict[str, Any]:
    """Every value of a nested state by its path, tensors as lists."""
    if isinstance(state, dict):
        return {k: v for key in state for k, v in leaves(state[key], f"{name}/{key}").items()}
    if isinstance(state, list | tuple):
        return leaves(dict(enumerate(state)), name)
    return {name: state.tolist() if isinstance(state, Tensor) else state}
