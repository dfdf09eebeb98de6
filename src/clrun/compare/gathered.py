"""The runs below the folders that are named, and the jobs of sweeps that are to be runs."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from clrun.compare.methods import MISSING, Start
from clrun.errors import ConfigError
from clrun.records.measured import Measured
from clrun.records.outcome import COMPLETED, is_seed
from clrun.records.past_run import DEEPEST, PastRun, read_run
from clrun.records.sound_record import sound_record
from clrun.sweep.beside import measured_beside
from clrun.sweep.folder import is_sweep
from clrun.sweep.listed import listed, set_to
from clrun.sweep.manifest import each_job
from clrun.sweep.progress import QUEUED, Looked
from clrun.sweep.record import swept_keys

ORDERS = ("benchmark.class_order", "benchmark.class_order_seed", "benchmark.run")
"""Keys beside the seed that say which classes come when."""

DAMAGED = "damaged"
"""The status of a run whose files cannot be read."""


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """A run, or a job that is to be one."""

    folder: Path
    sweep: Path | None
    """the sweep whose job it is"""
    values: Mapping[str, str]
    """swept key -> its value as typed"""
    config: Mapping[str, Any]
    """`RunConfig.plain`, as it was saved"""
    status: str
    reason: str | None
    past: PastRun | None
    is_reference: bool = False
    """a naive or joint run of a sweep that was asked for them"""

    def setting(self, key: str) -> str | None:
        """The value of a key or a group, as it would be typed; None where it has none."""
        return self.values.get(key) or set_to(self.config, key)

    @property
    def keys(self) -> list[str]:
        """The groups and keys that it has."""
        nodes = self.config.get("nodes") or {}
        own = [f"{group}.{key}" for group, node in nodes.items() for key in node["values"]]
        return [*nodes, *own, *(self.config.get("root") or {})]

    @cached_property
    def start(self) -> Start | None:
        """What it has in common with its partners; None where it does not say its seed."""
        seed = None if self.past is None else self.past.seed
        return None if seed is None else Start(seed, self._order())

    def _order(self) -> str:
        """Six digits that stand for the classes of each experience, and for what draws them."""
        classes = None if self.past is None else self.past.measured.measurements.experience_classes
        drawn = {key: self.setting(key) for key in (*ORDERS, *filter(is_seed, self.values))}
        drawn.pop("seed", None)
        stream = [[list(each) for each in classes or ()], drawn]
        return hashlib.sha256(json.dumps(stream, sort_keys=True).encode()).hexdigest()[:6]


def is_of_start(key: str) -> bool:
    """Whether a key says nothing of the method, but which runs are a pair."""
    return is_seed(key) or key in ORDERS


def gathered(argument: str) -> list[Gathered]:
    """The runs of a run folder, a sweep, or a folder that holds several.

    Raises:
        ConfigError: there is none.
    """
    if not argument:
        raise ConfigError("compare: a folder has no name. Name that of a run or a sweep.")
    path = Path(argument)
    if not path.is_dir():
        raise ConfigError(f"{argument}: there is no such folder. Name that of a run or a sweep.")
    found = [run for place in _places(path, DEEPEST) for run in _runs(place)]
    if not found:
        raise ConfigError(f"{argument}: holds no run: there is no run.json in it or below.")
    return found


def _places(path: Path, depth: int) -> Iterator[Path]:
    """The nearest folders of runs and sweeps; links and hidden folders are passed over."""
    if is_sweep(path) or (path / "run.json").exists():
        yield path
    elif depth:
        with os.scandir(path) as entries:
            below = sorted(e.name for e in entries if e.is_dir(follow_symlinks=False))
        for name in below:
            if not name.startswith("."):
                yield from _places(path / name, depth - 1)


def _runs(place: Path) -> Iterator[Gathered]:
    if not is_sweep(place):
        yield _single(place)
        return
    looked, swept, beside = Looked(place), swept_keys(place), measured_beside(place)
    for job in each_job(place):
        state, folder = looked.state(listed(job, swept)), place / job.folder
        is_done = state.state == COMPLETED
        past, reason = _read(folder, *beside(job)) if is_done else (None, state.reason)
        status = MISSING if state.state == QUEUED else state.state
        yield Gathered(
            folder=folder,
            sweep=place,
            values=state.values,
            config=job.config,
            status=DAMAGED if status == COMPLETED and past is None else status,
            reason=reason,
            past=past,
            is_reference=job.is_reference,
        )


def _single(folder: Path) -> Gathered:
    past, reason = _read(folder)
    config = sound_record(folder).get("config")
    return Gathered(
        folder=folder,
        sweep=None,
        values={},
        config=config if isinstance(config, Mapping) else {},
        status=DAMAGED if past is None else past.status,
        reason=reason if past is None else past.error,
        past=past,
    )


def _read(
    folder: Path, naive: Measured | None = None, joint: Measured | None = None
) -> tuple[PastRun | None, str | None]:
    """The run in a folder beside its references, or why it cannot be read."""
    try:
        return read_run(folder, naive=naive, joint=joint), None
    except ConfigError as error:
        return None, error.problems[0]
