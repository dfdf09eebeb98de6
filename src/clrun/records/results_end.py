"""The metrics and the cost of results.json, without its matrices: they stand at its end."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from clrun.disk.opening import open_regular, read_bytes

END_BYTES = 2**16
"""More than what follows the matrices takes, of thousands of experiences"""
FIRST_KEY = b'\n  "metrics": {'
"""The first of what follows the matrices, as `write_json` writes it"""


class Numbers(NamedTuple):
    """Single numbers that a run found."""

    metrics: Mapping[str, float | None]
    cost: Mapping[str, float | None]
    """those of a part after its name, e.g. `wall_seconds.train`"""


NONE = Numbers({}, {})


def read_numbers(folder: Path) -> Numbers:
    """The numbers in the results of a run; none where there are none, or they are damaged."""
    path = folder / "results.json"
    try:
        content = _end(path) or json.loads(read_bytes(path))
        return Numbers(flat(content["metrics"]), flat(content["cost"]))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return NONE


def _end(path: Path) -> Any:
    """What follows the matrices; None where it is not found, so that all has to be read."""
    with open_regular(path) as file:
        file.seek(max(os.fstat(file.fileno()).st_size - END_BYTES, 0))
        content = file.read(END_BYTES)
    start = content.find(FIRST_KEY)
    if start < 0:
        return None
    try:
        return json.loads(b"{" + content[start:])
    except ValueError:
        return None


def flat(given: Mapping[str, Any], before: str = "") -> dict[str, float | None]:
    """Numbers by name, those of a part after its name; lists and texts are none."""
    found: dict[str, float | None] = {}
    for name, value in given.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{before}{name}.")
        elif value is None or isinstance(value, int | float):
            found[f"{before}{name}"] = value
    return found
