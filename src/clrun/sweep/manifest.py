"""The manifest of a sweep: its jobs, each checked before it was written, none ever changed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clrun.config.sources import OF_A_RUN
from clrun.disk.files import write_text
from clrun.disk.opening import open_regular
from clrun.disk.secrets import hidden
from clrun.errors import ConfigError, cut
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
    is_reference: bool = False
    """to hold others against (`clrun.sweep.references`), and no point of what is compared"""

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
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise ConfigError(f"{manifest}: is damaged: {' '.join(str(error).split())}") from None


def write_manifest(path: Path, jobs: Iterable[Job]) -> None:
    """Write the manifest, whole or not at all: the jobs that it had, as they were, and new ones.

    Raises:
        StorageError: it cannot be written.
    """
    plain = (hidden(asdict(job)) for job in jobs)
    lines = (json.dumps(job, allow_nan=False, separators=(",", ":")) for job in plain)
    write_text(SweepFolder(path).manifest, "".join(f"{line}\n" for line in lines))


def _job(line: Mapping[str, Any], number: int) -> Job:
    fields = {**line, "overrides": tuple(line["overrides"])}
    folder = Path(line["folder"])
    if folder.is_absolute() or ".." in folder.parts or not folder.parts:
        raise ValueError(f"folder={cut(line['folder'])}: is none below the sweep's")
    if line["number"] != number:
        raise ValueError("its jobs are not counted up from 0")
    threads = line["identity"]["threads"]
    if not isinstance(threads, int) or threads < 1 or "config_hash" not in line["identity"]:
        raise ValueError(f"job {number}: its identity is none of a run")
    if not all(isinstance(text, str) for text in (*fields["overrides"], *line["values"].values())):
        raise ValueError(f"job {number}: its words are none")
    if not isinstance(line.get("is_reference", False), bool):
        raise ValueError(f"job {number}: is_reference is neither true nor false")
    if not _is_configuration(line["config"]):
        raise ValueError(f"job {number}: its configuration is none of a run")
    return Job(**fields)


def _is_configuration(plain: Any) -> bool:
    """Whether this has the form of `RunConfig.plain`; what is in it is for each job to check."""
    if not all(isinstance(plain[key], Mapping) for key in ("root", "nodes")):
        return False
    nodes = plain["nodes"]
    parts = [*(nodes[group] for group in OF_A_RUN), *plain["plugins"]]
    return (
        isinstance(plain["root"]["seed"], int)
        and isinstance(plain["where"], list)
        and all(isinstance(part["values"], Mapping) and "target" in part for part in parts)
    )
