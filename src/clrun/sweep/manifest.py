"""The manifest of a sweep: its jobs, each checked before it was written, none ever changed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clrun.disk.files import write_text
from clrun.disk.opening import read_text
from clrun.errors import ConfigError
from clrun.sweep.folder import SweepFolder

LARGEST = 2**30
"""Bytes of a manifest; a job takes some 5 kB."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One job: what it is, where it goes, and what its numbers follow from."""

    number: int
    """jobs are counted up from 0, also over later additions"""
    overrides: tuple[str, ...]
    """all of its words, as they would be typed for a single run"""
    values: Mapping[str, str]
    """swept key -> its value as typed"""
    folder: str
    """its run folder, below the sweep's"""
    config: Mapping[str, Any]
    """`RunConfig.plain`"""
    identity: Mapping[str, Any]
    """`config_hash`, `code`, `data` (fingerprint), `device`, `threads`: what its numbers follow
    from, as run.json has it"""

    @property
    def hash(self) -> str:
        """`RunConfig.hash` of its configuration."""
        return str(self.identity["config_hash"])


def read_manifest(path: Path) -> tuple[Job, ...]:
    """The jobs of the sweep in a folder, in order.

    Raises:
        ConfigError: there is no manifest, or it is damaged.
    """
    manifest = SweepFolder(path).manifest
    try:
        lines = read_text(manifest, most=LARGEST).splitlines()
        jobs = tuple(_job(json.loads(line)) for line in lines)
    except FileNotFoundError:
        raise ConfigError(f"{path}: holds no sweep, for there is no {manifest.name}.") from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ConfigError(f"{manifest}: is damaged: {' '.join(str(error).split())}") from None
    if [job.number for job in jobs] != list(range(len(jobs))):
        raise ConfigError(f"{manifest}: is damaged: its jobs are not counted up from 0.")
    return jobs


def write_manifest(path: Path, jobs: Iterable[Job]) -> None:
    """Write the manifest, whole or not at all: the jobs that it had, as they were, and new ones.

    Raises:
        StorageError: it cannot be written.
    """
    lines = (json.dumps(asdict(job), allow_nan=False, separators=(",", ":")) for job in jobs)
    write_text(SweepFolder(path).manifest, "".join(f"{line}\n" for line in lines))


def _job(line: Mapping[str, Any]) -> Job:
    fields = {**line, "overrides": tuple(line["overrides"])}
    folder = Path(line["folder"])
    if folder.is_absolute() or ".." in folder.parts or not folder.parts:
        raise ValueError(f"folder={line['folder']}: is none below the sweep's")
    return Job(**fields)
