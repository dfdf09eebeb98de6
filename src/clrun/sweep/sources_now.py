"""Whether the sources that are here give the numbers that the jobs of a sweep were written for.

What is compared needs no torch: clrun's sources and those of components, the versions of packages,
and the processor. The rest each job compares itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from clrun.config.run_config import RunConfig
from clrun.device import processor
from clrun.errors import FolderError
from clrun.records.identity import code_of, differences
from clrun.records.run_record import versions
from clrun.sweep.manifest import Job

MOST_SHOWN = 5
"""Differences that are named."""


class SourcesNow:
    """What is here, looked at once for jobs of the same parts."""

    def __init__(self) -> None:
        self._codes: dict[str, dict[str, str]] = {}
        self._common = {"versions": versions(), "processor": processor.name()}

    def differences(self, job: Job, **also: Any) -> list[str]:
        """A line for each thing that was another when the job was written; `also`: more of what is
        here, as run.json has it.

        Raises:
            ConfigError: it names code that is not there, or that is not to be trusted.
        """
        now = {**self._common, "code": self._code(job.config), **also}
        known = {key: now[key] for key in now if key in job.identity}
        return differences({key: job.identity[key] for key in known}, known)

    def _code(self, config: Mapping[str, Any]) -> dict[str, str]:
        parts = [*config["nodes"].values(), *config["plugins"]]
        named = json.dumps([*map(_texts, parts), config["where"]])
        if named not in self._codes:
            self._codes[named] = code_of(RunConfig.of_plain(config))
        return self._codes[named]


def require_same_sources(path: Path, jobs: Iterable[Job]) -> None:
    """Refuse to work on jobs that would not give the numbers they were to give: each of them
    would fail by itself.

    Raises:
        FolderError: with what is another.
        ConfigError: they name code that is not there, or that is not to be trusted.
    """
    now = SourcesNow()
    found = [different for job in jobs if (different := now.differences(job))]
    if found:
        some = "; ".join(dict.fromkeys(line for lines in found for line in lines[:MOST_SHOWN]))
        raise FolderError(
            f"{path}: {len(found)} of its jobs are not over, and would not give the numbers they "
            f"were to give. {some}. clrun resume --force runs them nevertheless."
        )


def done_otherwise(
    jobs: Iterable[Job], *, threads: int, data: Mapping[str, Mapping[str, str]]
) -> str | None:
    """A line about jobs that are over and would give other numbers now; None where none would.

    `threads` are those of a job that says none; `data`: what tells the data of each `stream_of`.
    """
    now, found = SourcesNow(), {}
    for job in jobs:
        given = job.config["nodes"]["device"]["values"].get("threads")
        stream = stream_of(job.config)
        known = {"data": data[stream]} if stream in data else {}
        if different := now.differences(job, threads=given or threads, **known):
            found[job.number] = different
    if not found:
        return None
    some = "; ".join(dict.fromkeys(line for lines in found.values() for line in lines[:MOST_SHOWN]))
    numbers = ", ".join(map(str, list(found)[:MOST_SHOWN]))
    more = ", ..." if len(found) > MOST_SHOWN else ""
    return (
        f"{len(found)} of the jobs that are done here would give other numbers now, and stay as "
        f"they are (job {numbers}{more}): {some}. For all of them anew, name another folder."
    )


def stream_of(config: Mapping[str, Any]) -> str:
    """What is the same for jobs that have the same data."""
    nodes, root = config["nodes"], config["root"]
    limits = (root.get("first_experiences"), nodes["eval"]["values"].get("stream"))
    return json.dumps((nodes["benchmark"], root["seed"], limits), sort_keys=True)


def _texts(node: Mapping[str, Any]) -> list[str]:
    """What names classes: that of a component, and perhaps some of its keys."""
    return [str(node["target"]), *(v for v in node["values"].values() if isinstance(v, str))]
