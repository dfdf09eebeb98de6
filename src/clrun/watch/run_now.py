"""A run at one moment, by its record and its log."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clrun.disk import locks
from clrun.records.results import Row
from clrun.records.run_folder import DIED, LOCK, RUNNING
from clrun.records.sound_record import sound_record
from clrun.sweep.listed import sizes
from clrun.watch.run_log import RunLog, Seen

PHASES = {"experience": "evaluating", "memory": "between experiences"}
PHASES["resource"] = PHASES["memory"]
"""What a run does after a line of this kind, where it is not training."""

JOINT = "clrun.strategies.joint:Joint"
"""The strategy of ours that learns the stream as one experience"""

LEAST_SHARE = 0.005
"""Until so much of a run is done nobody knows how long it takes."""


@dataclass(frozen=True, kw_only=True)
class RunNow:
    """How a run stands."""

    folder: Path
    status: str
    """completed, failed, interrupted, running, died, unknown or gone"""
    label: str
    name: str
    """that its user gave it"""
    reason: str
    """why it failed, in one line"""
    device: str
    class_names: Sequence[str]
    experiences: int | None
    """of the stream; None before it is known"""
    epochs: int | None
    minibatch: int | None
    done: float
    """the share that is done, in [0, 1]"""
    seconds: float | None
    """that it took so far"""
    seconds_left: float | None
    silent: float | None
    """seconds since the last line of its log"""
    phase: str
    log: RunLog

    @property
    def is_over(self) -> bool:
        """Whether nobody works on it."""
        return self.status != RUNNING

    @property
    def place(self) -> tuple[int, int | None] | None:
        """(experience, epoch), counted from 0; None before training."""
        experience = self.log.seen.last.get("experience")
        if not isinstance(experience, int):
            return None
        return experience, self.log.seen.last.get("epoch")

    def matrix(self) -> list[Row]:
        """The accuracy matrix, its rows of later experiences empty."""
        known = self.log.seen.matrix
        count = max([*(index + 1 for index in known), 0])
        return [known.get(index, ()) for index in range(count)]


def run_now(folder: Path, log: RunLog) -> RunNow:
    """How the run in a folder stands by now, whose log was just looked at."""
    record = sound_record(folder)
    seen = log.seen
    config = _mapping(record.get("config"))
    epochs, experiences = sizes(config)
    experiences = 1 if _is_at_once(config, seen) else experiences or seen.widest or None
    status = _status(folder, record)
    silent = None if log.written is None else max(time.time() - log.written, 0.0)
    done = 1.0 if status == "completed" else _done(log, epochs, experiences)
    seconds = record.get("seconds")
    if not isinstance(seconds, int | float):
        since = min(silent or 0.0, 3600.0) if status == RUNNING else 0.0
        seconds = seen.last["seconds"] + since if seen.last else None
    is_known = status == RUNNING and seconds is not None and LEAST_SHARE <= done < 1
    return RunNow(
        folder=folder,
        status=status,
        label=str(record.get("label") or folder.name),
        name=str(record.get("run_name") or ""),
        reason=str(record.get("error") or "").partition("\n")[0],
        device=str(record.get("device") or ""),
        class_names=[str(name) for name in _mapping(record.get("data")).get("class_names") or ()],
        experiences=experiences,
        epochs=epochs,
        minibatch=_minibatch(config),
        done=done,
        seconds=seconds,
        seconds_left=_left(seen.last["seconds"], done, silent or 0.0) if is_known else None,
        silent=silent,
        phase=_phase(log),
        log=log,
    )


def _status(folder: Path, record: Mapping[str, Any]) -> str:
    if not record:
        return "unknown" if (folder / "run.json").exists() else "gone"
    status = str(record.get("status", "unknown"))
    if status != RUNNING:
        return status
    try:
        return DIED if locks.is_free(folder / LOCK, glance=0) else RUNNING
    except OSError:  # not to be seen from here, such as in the folder of another person
        return RUNNING


def _is_at_once(config: Mapping[str, Any], seen: Seen) -> bool:
    """Whether the stream is learnt as one experience; of a strategy of others its first evaluation
    says it."""
    return seen.is_at_once or _of(config, "strategy").get("target") == JOINT


def _minibatch(config: Mapping[str, Any]) -> int | None:
    size = _mapping(_of(config, "strategy").get("values")).get("train_mb_size")
    return size if isinstance(size, int) else None


def _of(config: Mapping[str, Any], group: str) -> Mapping[str, Any]:
    return _mapping(_mapping(config.get("nodes")).get(group))


def _done(log: RunLog, epochs: int | None, experiences: int | None) -> float:
    """The share of all training that is done; experiences and epochs are as long as each other."""
    seen = log.seen
    experience, epoch = seen.last.get("experience"), seen.last.get("epoch")
    if not isinstance(experience, int) or not experiences:
        return 0.0
    within = 1.0
    if isinstance(epoch, int) and epochs:
        inside = float(seen.last["kind"] == "epoch")
        if not inside and seen.epoch_updates:
            inside = min((seen.last["iteration"] - seen.epoch_began) / seen.epoch_updates, 1.0)
        within = min((epoch + inside) / epochs, 1.0)
    return min((experience + within) / experiences, 1.0)


def _left(seconds: float, done: float, silent: float) -> float:
    """Seconds until the end, if the rest takes as long as what is done."""
    return max(seconds * (1 - done) / done - silent, 0.0)


def _phase(log: RunLog) -> str:
    if not log.seen.last:
        return "starting"
    return PHASES.get(str(log.seen.last["kind"]), "training")


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
