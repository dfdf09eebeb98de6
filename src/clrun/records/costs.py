"""What accuracy is paid with: the costs that methods are held against each other by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

Numbers = Mapping[str, float | None]
"""The cost of a run by name, as `records.results_end.Numbers` has it."""


class Cost(NamedTuple):
    """One of them."""

    label: str
    """what it is, for an axis"""
    short: str
    """for the head of a column"""
    unit: str
    of: Callable[[Numbers], float | None]
    """None where it is not known"""


def seconds(cost: Numbers) -> float | None:
    """Wall seconds of all phases."""
    known = [v for k, v in cost.items() if k.startswith("wall_seconds.") and v is not None]
    return sum(known) if known else None


def kept(cost: Numbers) -> float | None:
    """Rows, parameters and statistics that the method keeps."""
    parts = [value for key, value in cost.items() if key.startswith("state_bytes.")]
    known = [value for value in parts if value is not None]
    return sum(known) if known and len(known) == len(parts) else None


COSTS = {
    "bytes": Cost("memory of past data", "memory", "B", lambda cost: cost.get("memory_bytes")),
    "kept": Cost("all that the method keeps", "kept", "B", kept),
    "macs": Cost(
        "multiply-accumulates of training", "MACs", "MAC", lambda cost: cost.get("train_macs")
    ),
    "seconds": Cost("seconds, all phases", "seconds", "s", seconds),
}
"""By the word that asks for it."""
