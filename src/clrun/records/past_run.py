"""Everything that the folder of a run says of it, for whoever shows or compares runs.

Without torch. Numbers are computed again from what was measured, so that old runs have the metrics
that were added later; what a damaged or unfinished run lacks is empty, and no error.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from clrun.disk.opening import open_regular
from clrun.errors import ConfigError
from clrun.metrics import computed
from clrun.records.measured import Measured, read_measured, read_results
from clrun.records.sound_record import sound_record, sound_results

Line = Mapping[str, Any]
"""One line of metrics.jsonl."""

DEEPEST = 4
"""Folders below one that is named in which runs are looked for: outputs/multirun/day/sweep/job."""

STEP = b'{"kind": "step"'
"""How the lines of single updates begin."""


@dataclass(frozen=True, kw_only=True)
class PastRun:
    """A run as its folder has it, whether it completed or not."""

    folder: Path
    record: Mapping[str, Any]
    """run.json"""
    results: Mapping[str, Any]
    """results.json; empty where there is none that can be read"""
    measured: Measured
    """what it measured, as metrics take it"""
    metrics: Mapping[str, float | None]
    """key -> value, None where it is undefined; of a run that did not finish, over the experiences
    that it finished"""
    notes: Mapping[str, str]
    """key of an undefined metric -> why"""

    @property
    def status(self) -> str:
        """completed, failed, interrupted, running, died or unknown."""
        return self.measured.status

    @property
    def label(self) -> str:
        """Strategy, benchmark and seed."""
        return self.measured.label

    @property
    def name(self) -> str | None:
        """`run_name`, which its user gave it."""
        return self.record.get("run_name")

    @property
    def seed(self) -> int | None:
        """None where run.json does not say it."""
        return self._mapping("seeds").get("seed")

    @property
    def error(self) -> str | None:
        """Why it failed."""
        return self.record.get("error")

    @property
    def overrides(self) -> tuple[str, ...]:
        """The words that were typed."""
        return tuple(map(str, self._mapping("config").get("overrides", ())))

    @property
    def cost(self) -> Mapping[str, Any]:
        """`cost` of results.json; empty where there is none."""
        return self.results.get("cost") or {}

    @property
    def memory(self) -> Mapping[str, Any]:
        """`memory` of results.json; empty where there is none."""
        return self.results.get("memory") or {}

    @cached_property
    def options(self) -> Mapping[str, str]:
        """Group -> name of its option, such as strategy -> ar1."""
        return {group: str(node.get("option")) for group, node in self._nodes()}

    @cached_property
    def values(self) -> Mapping[str, Any]:
        """Each key as it would be typed -> its value: seed, strategy.lr, and so on."""
        config = self._mapping("config")
        found = dict(config.get("root") or {})
        found |= {f"checkpoint.{k}": v for k, v in (config.get("checkpoint") or {}).items()}
        for group, node in self._nodes():
            found |= {f"{group}.{key}": value for key, value in (node.get("values") or {}).items()}
        return found

    def lines(self, *kinds: str) -> Iterator[Line]:
        """The lines of metrics.jsonl of these kinds, or of all but `step`, in order.

        One cut off or damaged is left out, and so is all of a log that cannot be read.
        """
        try:
            with open_regular(self.folder / "metrics.jsonl") as file:
                for text in file:
                    if text.startswith(STEP) and "step" not in kinds:
                        continue
                    line = _parsed(text)
                    if line is not None and (not kinds or line["kind"] in kinds):
                        yield line
        except OSError:
            return

    def _nodes(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        nodes = self._mapping("config").get("nodes")
        yield from (nodes.items() if isinstance(nodes, Mapping) else ())

    def _mapping(self, key: str) -> Mapping[str, Any]:
        value = self.record.get(key)
        return value if isinstance(value, Mapping) else {}


def read_run(
    folder: Path, *, joint: Measured | None = None, naive: Measured | None = None
) -> PastRun:
    """The run in a folder; `joint` and `naive` are runs of its stream for metrics that need one.

    Raises:
        ConfigError: there is no run, its log cannot be read, or one of the others is of another
            stream.
    """
    measured = read_measured(folder).beside(joint=joint, naive=naive)
    metrics, notes = computed(measured.measurements)
    return PastRun(
        folder=folder,
        record=sound_record(folder),
        results=sound_results(read_results(folder)),
        measured=measured,
        metrics=metrics,
        notes=notes,
    )


def runs_in(folder: str, verb: str) -> list[Path]:
    """The run in a folder that was named to this verb, or all those below it, sorted.

    Raises:
        ConfigError: there is none.
    """
    if not folder:
        raise ConfigError(f"{verb}: a folder has no name. Name that of a run or a sweep.")
    path = Path(folder)
    if not path.is_dir():
        raise ConfigError(f"{folder}: there is no such folder. Name that of a run or a sweep.")
    found = sorted(runs_below(path))
    if not found:
        raise ConfigError(f"{folder}: holds no run: there is no run.json in it or below.")
    return found


def runs_below(path: Path, depth: int = DEEPEST) -> Iterator[Path]:
    """The nearest folders with a run.json; links and hidden folders are passed over."""
    if (path / "run.json").exists():
        yield path
    elif depth:
        with os.scandir(path) as entries:
            below = [e.name for e in entries if e.is_dir(follow_symlinks=False)]
        for name in below:
            if not name.startswith("."):
                yield from runs_below(path / name, depth - 1)


def _parsed(text: bytes | str) -> Line | None:
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return line if isinstance(line, dict) and "kind" in line else None
