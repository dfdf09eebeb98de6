"""What the folder of a run says of it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrun.disk.opening import open_regular, read_text
from clrun.errors import ConfigError
from clrun.metrics.matrix import matrix_of_rows
from clrun.records.run_folder import read_record, run_status, several_runs

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The files of a run as far as they can be read; a run that did not end has no results."""

    folder: Path
    status: str
    """completed, failed, interrupted, running, died or unknown"""
    record: Mapping[str, Any]
    """run.json"""
    results: Mapping[str, Any]
    """results.json; empty where there is none"""
    lines: Mapping[str, Sequence[Mapping[str, Any]]]
    """metrics.jsonl by kind"""

    def of_kind(self, kind: str) -> Sequence[Mapping[str, Any]]:
        """The lines of a kind, in order."""
        return self.lines.get(kind, ())

    def key(self, name: str) -> Any:
        """The value of a key such as strategy.lr; None where the run has no such key."""
        group, _, key = name.partition(".")
        node = self.record.get("config", {}).get("nodes", {}).get(group, {})
        return node.get("values", {}).get(key)

    def option(self, group: str) -> str:
        """What was chosen of a group, e.g. naive of strategy."""
        return str(self.record.get("config", {}).get("nodes", {}).get(group, {}).get("option", ""))

    def weights(self) -> Iterator[float]:
        """How much the penalties weigh that were asked for."""
        config = self.record.get("config", {})
        values = [plugin.get("values", {}) for plugin in config.get("plugins", ())]
        for found in [*values, {"ewc_lambda": self.key("strategy.ewc_lambda")}]:
            for key in ("ewc_lambda", "mas_lambda"):
                if isinstance(weight := found.get(key), int | float):
                    yield weight

    @cached_property
    def class_names(self) -> list[str]:
        names = self.record.get("data", {}).get("class_names") or self.results.get("class_names")
        return [str(name) for name in names or ()]

    @cached_property
    def learnt(self) -> list[list[int]]:
        """The classes of each experience that was learnt."""
        return [list(line["classes"]) for line in self.of_kind("experience")]

    @cached_property
    def test_rows(self) -> list[int]:
        """Test rows of each experience; empty while there are no results."""
        return [experience["test_rows"] for experience in self.results.get("experiences", ())]

    @cached_property
    def accuracy(self) -> Floats:
        """[i, j]: on experience j after experience i, of those evaluations that there were."""
        return self._at_ends("accuracy")

    @cached_property
    def class_accuracy(self) -> Floats:
        """[i, c]: on class c after experience i, of those evaluations that there were."""
        return self._at_ends("class_accuracy")

    def epochs(self) -> Iterator[tuple[int, list[Mapping[str, Any]]]]:
        """(experience, its lines of epochs) for each experience, those alone that have a loss."""
        found: dict[int, list[Mapping[str, Any]]] = {}
        for line in self.of_kind("epoch"):
            if line.get("loss") is not None:
                found.setdefault(line["experience"], []).append(line)
        yield from found.items()

    def _at_ends(self, key: str) -> Floats:
        """Those with task ids of a run that was trained and tested with them."""
        lines = [
            line
            for line in self.of_kind("eval")
            if line["experience"] is not None and line["epoch"] is None
        ]
        aware = f"task_aware_{key}"
        has_heads = self.key("strategy.active") == "experience"
        is_aware = has_heads and all(aware in line for line in lines)
        rows = [line[aware if is_aware else key] for line in lines]
        return matrix_of_rows(rows, max(map(len, rows), default=0))


def evidence(folder: Path) -> Evidence:
    """What is in the folder of a run.

    Raises:
        ConfigError: there is no run.
    """
    status = run_status(folder)
    if status is None:
        raise ConfigError(f"{folder}: {_missing(folder)}")
    return Evidence(
        folder=folder,
        status=status,
        record=read_record(folder),
        results=_object(folder / "results.json"),
        lines=_lines(folder / "metrics.jsonl"),
    )


def _missing(folder: Path) -> str:
    if not folder.is_dir():
        return "there is no such folder. Name that of a run."
    several = several_runs(folder)
    if several:
        return f"{several} clrun status {shlex.quote(str(folder))} says how all of them stand."
    return "holds no run: there is no run.json in it. Name the folder of a run."


def _object(path: Path) -> dict[str, Any]:
    """A JSON object; empty where there is none that can be read."""
    try:
        content = json.loads(read_text(path))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _lines(path: Path) -> dict[str, list[dict[str, Any]]]:
    """The lines of a raw log by kind; one that is cut off or damaged is left out."""
    found: dict[str, list[dict[str, Any]]] = {}
    try:
        with open_regular(path) as file:
            for text in file:
                try:
                    line = json.loads(text)
                    found.setdefault(line["kind"], []).append(line)
                except (ValueError, TypeError, KeyError):
                    continue
    except OSError:
        pass
    return found
