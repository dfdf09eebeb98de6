"""The numbers of a line by names that are the same in every logger."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from clrun.loggers.logger import LoggedRun

PLACE = ("kind", "experience", "epoch", "iteration", "seconds")
"""What a line says of itself."""

PREFIXES = {"step": "train/", "metrics": ""}
"""How the names of a kind of line begin, where it is not the kind's own; metrics have the names
that they have in results.json."""

NO_CURVES = ("classes", "class_names", "confusion", "patterns", "seen", "shared", "stream")
"""Values that are no measurements over time."""

BY_EXPERIENCE = ("accuracy", "curve", "per_experience")
BY_CLASS = ("class_accuracy", "per_class")
"""Keys whose values are lists or mappings of which each line may have more."""


def numbers(line: Mapping[str, Any], run: LoggedRun) -> dict[str, float | None]:
    """The numbers of a line by name, such as `train/loss`, `eval/accuracy/0` or `acc_final`; None
    where nothing was measured. Lines of one kind have the same names, as far as can be told.

    `eval/accuracy` and `eval/curve` are means over the experiences that were seen by then.
    """
    kind = line["kind"]
    prefix = PREFIXES.get(kind, f"{kind}/")
    found: dict[str, float | None] = {}
    for key, value in line.items():
        if key in PLACE or key in NO_CURVES:
            continue
        if kind == "eval" and key in BY_EXPERIENCE:
            found[f"{prefix}{key}"] = _mean(value[: line.get("seen", 0)])
        length = _length(key, run) if kind in ("eval", "memory") else 0
        found |= dict(_flat(f"{prefix}{key}", value, length))
    return found


def _length(key: str, run: LoggedRun) -> int:
    """How many entries the value of a key may have; 0 for a number."""
    return run.classes if key in BY_CLASS else run.experiences if key in BY_EXPERIENCE else 0


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _flat(name: str, value: Any, length: int = 0) -> Iterator[tuple[str, float | None]]:
    """The numbers below a name; those of a list or mapping after its own, at least so many."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        value = {str(index): each for index, each in enumerate(value)}
    if isinstance(value, Mapping):
        empty = dict.fromkeys(map(str, range(length)))
        for key, each in (empty | {str(k): v for k, v in value.items()}).items():
            yield from _flat(f"{name}/{key}", each)
    elif value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        yield name, value
