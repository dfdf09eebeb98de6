"""The manifest of a sweep: its jobs, each checked before it was written, none ever changed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clrun.disk.files import write_text
from clrun.disk.opening import open_regular
from clrun.errors import ConfigError
from clrun.sweep.folder import SweepFolder


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
    """The jobs of the sweep in a folder, in order; see `each_job`."""
    return tuple(each_job(path))


def each_job(path: Path) -> Iterator[Job]:
    """The jobs of the sweep in a folder, one after the other, in order.

    Raises:
        ConfigError: there is no manifest, or it is damaged.
    """
    manifest = SweepFolder(path).manifest
    try:
        with open_regular(manifest) as file:
            for number, line in enumerate(file):
                yield _job(json.loads(line), number)
    except FileNotFoundError:
        raise ConfigError(f"{path}: holds no sweep, for there is no {manifest.name}.") from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ConfigError(f"{manifest}: is damaged: {' '.join(str(error).split())}") from None


def write_manifest(path: Path, jobs: Iterable[Job]) -> None:
    """Write the manifest, whole or not at all: the jobs that it had, as they were, and new ones.

    Raises:
        StorageError: it cannot be written.
    """
    lines = (json.dumps(asdict(job), allow_nan=False, separators=(",", ":")) for job in jobs)
    write_text(SweepFolder(path).manifest, "".join(f"{line}\n" for line in lines))


def _job(line: Mapping[str, Any], number: int) -> Job:
    fields = {**line, "overrides": tuple(line["overrides"])}
    folder = Path(line["folder"])
    if folder.is_absolute() or ".." in folder.parts or not folder.parts:
        raise ValueError(f"folder={line['folder']}: is none below the sweep's")
    if line["number"] != number:
        raise ValueError("its jobs are not counted up from 0")
    return Job(**fields)
