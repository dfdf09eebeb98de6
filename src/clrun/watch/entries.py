"""Runs and sweeps below a folder, by their records alone: little is read of each, for there may be
thousands."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clrun.errors import ConfigError
from clrun.records.run_folder import RUNNING, SAVED, run_status
from clrun.records.sound_record import sound_record
from clrun.sweep.folder import MANIFEST, MULTIRUN, RECORD
from clrun.watch.sweeps import of_sweep

DEEPEST = 4
"""Folders below the one that is named in which runs are looked for: outputs/multirun/day/sweep."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A run or a sweep, as far as its records say."""

    folder: Path
    status: str
    """of a sweep that of its jobs, the first of `STATES` but completed that one of them is in"""
    started: str
    """UTC; empty where the record does not say it"""
    config: Mapping[str, Any]
    """what `RunConfig.plain` gave; of a sweep, that of its first job"""
    name: str = ""
    """that a user gave it"""
    seconds: float | None = None
    reason: str | None = None
    """why it failed, in one line"""
    can_go_on: bool = False
    """a state of it was saved"""
    counts: Mapping[str, int] = field(default_factory=dict)
    """of a sweep: how many jobs are in each state in which there are any"""
    swept: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """of a sweep: swept key -> the values that jobs have, as typed, in order"""

    @property
    def is_sweep(self) -> bool:
        return bool(self.counts)

    @property
    def statuses(self) -> tuple[str, ...]:
        """The status of a run, or all in which jobs of a sweep are."""
        return tuple(self.counts) or (self.status,)

    def values(self, key: str) -> tuple[str, ...]:
        """What a key is set to, as it would be typed; of a sweep all values that jobs have."""
        return self.swept[key] if key in self.swept else _set(self.config, key)


def entries_in(folder: Path) -> list[Entry]:
    """Every run and sweep in a folder or below, the newest first; of a sweep that is named itself,
    its jobs.

    Raises:
        ConfigError: there is no such folder.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder}: there is no such folder. Name one that runs are in.")
    known = [entry for place in _places(folder, DEEPEST, is_top=True) if (entry := _entry(place))]
    return sorted(known, key=lambda entry: (entry.started, str(entry.folder)), reverse=True)


def is_of_sweep(names: set[str]) -> bool:
    """Whether a folder with these files is that of a sweep."""
    return not names.isdisjoint((MANIFEST, MULTIRUN, RECORD))


def _places(path: Path, depth: int, *, is_top: bool = False) -> Iterator[Path]:
    """The nearest folders of runs and sweeps; links and hidden folders are passed over."""
    try:
        with os.scandir(path) as scanned:
            inside = {entry.name: entry.is_dir(follow_symlinks=False) for entry in scanned}
    except OSError:  # somebody else's, or removed just now
        return
    if "run.json" in inside or (not is_top and is_of_sweep(set(inside))):
        yield path
    elif depth:
        for name, is_folder in inside.items():
            if is_folder and not name.startswith("."):
                yield from _places(path / name, depth - 1)


def _entry(path: Path) -> Entry | None:
    """What lies in a folder; None for a sweep none of whose jobs is known."""
    if (path / "run.json").exists():
        return _run(path)
    found = of_sweep(path)
    if not found.counts:
        return None
    return Entry(
        folder=path,
        status=found.status,
        started=found.started,
        config=found.config,
        counts=found.counts,
        swept=found.swept,
    )


def _run(path: Path) -> Entry:
    record = sound_record(path)
    status = str(record.get("status", "unknown"))
    if status == RUNNING:
        status = run_status(path) or status  # died, where nobody holds its lock
    error, seconds, config = (record.get(key) for key in ("error", "seconds", "config"))
    return Entry(
        folder=path,
        status=status,
        started=str(record.get("started") or ""),
        config=config if isinstance(config, Mapping) else {},
        name=str(record.get("run_name") or ""),
        seconds=seconds if isinstance(seconds, int | float) else None,
        reason=str(error or "").partition("\n")[0] or None,
        can_go_on=record.get("states") == SAVED,
    )


def _set(config: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """(what a key of a configuration is set to,); empty where it has no such key."""
    group, _, name = key.rpartition(".")
    try:
        if key in config["nodes"]:
            value = config["nodes"][key]["option"]
        elif group in config["nodes"]:
            value = config["nodes"][group]["values"][name]
        else:
            value = config[group or "root"][name]
    except (LookupError, TypeError):
        return ()
    return (value if isinstance(value, str) else json.dumps(value, separators=(",", ":")),)
