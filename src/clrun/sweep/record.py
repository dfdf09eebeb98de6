"""sweep.json: a sweep as a whole, and how its workers work."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from clrun.disk.files import write_json
from clrun.disk.opening import read_text
from clrun.errors import ConfigError, cut
from clrun.sweep.folder import SweepFolder

SCHEMA = 1
LAUNCHERS = ("local", "slurm", "ray")


@dataclass(frozen=True, kw_only=True)
class SweepOptions:
    """How jobs are run; changes no number of theirs. The keys of `sweep` in conf/config.yaml."""

    share: bool = True
    """jobs that agree until some moment train until there once"""
    on_error: str = "continue"
    """continue | stop: what a failed job means for those that have not started"""
    retries: int = 2
    """how often a job goes on after its process died of a signal"""
    time_limit: float | None = None
    """seconds after which an attempt is ended, its state saved; None: no limit"""
    launcher: str = "local"
    launcher_keys: Mapping[str, Any] = field(default_factory=dict)
    """the keys of `conf/launcher/<launcher>.yaml`"""


@dataclass(frozen=True, kw_only=True)
class SweepRecord:
    """What the folder of a sweep says of it."""

    sweep_id: str
    command: str
    swept: tuple[str, ...]
    """keys with several values, in the order they were given"""
    started: str
    """UTC"""
    output_root: str
    """absolute; where `latest` is"""
    options: SweepOptions = field(default_factory=SweepOptions)
    code: str = ""
    """`clrun.records.identity.sources()` when it was written"""
    engine: Mapping[str, Any] = field(default_factory=dict)
    """what a launcher needs to find its workers again, e.g. the Slurm job's number"""
    repeats: Mapping[str, Any] = field(default_factory=dict)
    """`seeds` and what goes with it, as `RepeatKeys` has them; empty where one run was one run"""
    schema: int = SCHEMA


def read_record(path: Path) -> SweepRecord:
    """The record of the sweep in a folder.

    Raises:
        ConfigError: there is none, or it is damaged.
    """
    file = SweepFolder(path).record
    try:
        given = json.loads(read_text(file))
        options = SweepOptions(**given.pop("options"))
        _require_options(options)
        record = SweepRecord(**{**given, "swept": tuple(given["swept"])}, options=options)
        _require_forms(record)
        return record
    except FileNotFoundError:
        raise ConfigError(f"{path}: holds no sweep, for there is no {file.name}.") from None
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise ConfigError(f"{file}: is damaged: {' '.join(str(error).split())}") from None


def _require_forms(record: SweepRecord) -> None:
    """Refuse a record one of whose parts is of another kind than a sweep writes.

    Raises:
        ValueError: with the one that is wrong.
    """
    texts = ("sweep_id", "command", "started", "output_root", "code")
    fine = {name: isinstance(getattr(record, name), str) for name in texts} | {
        "swept": all(isinstance(key, str) for key in record.swept),
        "engine": isinstance(record.engine, Mapping),
        "repeats": isinstance(record.repeats, Mapping),
    }
    for name, is_fine in fine.items():
        if not is_fine:
            raise ValueError(f"{name}={cut(getattr(record, name))}: is none of a sweep")


def _require_options(options: SweepOptions) -> None:
    """Refuse options that no `sweep` key can have.

    Raises:
        ValueError: with the one that is wrong.
    """
    limit, retries = options.time_limit, options.retries
    fine = {
        "share": isinstance(options.share, bool),
        "on_error": options.on_error in ("continue", "stop"),
        "retries": isinstance(retries, int) and retries >= 0,
        "time_limit": limit is None or (isinstance(limit, int | float) and limit > 0),
        "launcher": options.launcher in LAUNCHERS,
        "launcher_keys": isinstance(options.launcher_keys, Mapping),
    }
    for name, is_fine in fine.items():
        if not is_fine:
            raise ValueError(f"{name}={cut(getattr(options, name))}: is none of a sweep")


def swept_keys(path: Path) -> tuple[str, ...]:
    """The keys that are swept in a folder; none where its record is damaged."""
    try:
        return read_record(path).swept
    except ConfigError:
        return ()


def asked_for_references(path: Path) -> bool:
    """Whether the sweep in a folder was asked for references; not where its record is damaged."""
    try:
        return bool(read_record(path).repeats.get("references"))
    except ConfigError:
        return False


def write_record(path: Path, record: SweepRecord) -> None:
    """Write the record, whole or not at all."""
    write_json(SweepFolder(path).record, asdict(record))


def with_engine(path: Path, **engine: Any) -> SweepRecord:
    """The record with what a launcher found out about its workers, written."""
    record = read_record(path)
    record = replace(record, engine={**record.engine, **engine})
    write_record(path, record)
    return record
