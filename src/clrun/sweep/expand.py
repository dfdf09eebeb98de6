"""The points of a sweep: each job as it was asked for, its keys checked. No torch."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from clrun.config.applied import Jobs
from clrun.config.hydra_errors import explained_errors
from clrun.config.run_config import RunConfig
from clrun.config.sweep import Sweep, same_twice, swept_values
from clrun.errors import ConfigError, cut
from clrun.records.outcome import job_name

OUR_SUBFOLDER = "${clrun.job_folder:}"
"""What conf/config.yaml says of the folder of a job, until its keys are known."""

LONGEST_KEYS = 100
"""Characters of a job folder's name that say its keys; file systems take 255 in all."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """A job before it has its number."""

    words: tuple[str, ...]
    """its overrides, as they would be typed for a single run"""
    values: Mapping[str, str]
    """swept key -> its value as typed"""
    config: RunConfig
    hash: str
    folder: str
    """its run folder below the sweep's, unless it is there already under another name"""
    is_reference: bool = False
    """to hold others against (`clrun.sweep.references`), and no point of what is compared"""

    @property
    def name(self) -> str:
        """What tells it from the other points, as it would be typed."""
        return job_name(self.values) or "the job"


def points_of(sweep: Sweep) -> list[Point]:
    """Every job of a listed sweep, its keys checked as those of a single run are.

    Raises:
        ConfigError, HydraException: a point is wrong, or is there twice.
    """
    is_ours = sweep.subfolder == OUR_SUBFOLDER
    checking, swept = Jobs(sweep, with_subfolder=not is_ours), sweep.swept
    points: dict[str, Point] = {}
    jobs = sweep.jobs()
    for number, job in enumerate(jobs):
        values = swept_values(job, swept)
        try:
            with explained_errors():
                config, named = checking.found(job, number)
        except ConfigError as error:
            raise of_job(error.problems, values) from None
        hashed = config.hash()
        folder = job_folder(config, values, hashed) if is_ours else _inside(named or "")
        if hashed in points:
            raise same_twice(job, points[hashed].words)
        points[hashed] = Point(words=job, values=values, config=config, hash=hashed, folder=folder)
    _require_one_each(points.values())
    return list(points.values())


def of_job(problems: Sequence[str], values: Mapping[str, str]) -> ConfigError:
    """What is wrong with a job of a sweep, and which one that is; it has no number yet."""
    *before, last = problems
    name = cut(job_name(values))
    return ConfigError([*before, f"{last} (job {name})" if name else last])


def job_folder(config: RunConfig, values: Mapping[str, str], hashed: str) -> str:
    """The name of a job's folder: what it is, its keys, and a hash of its configuration."""
    in_label = ("strategy", "benchmark", "seed")
    keys = ",".join(
        f"{key.rpartition('.')[2]}={value}" for key, value in values.items() if key not in in_label
    )
    safe = re.sub(r"[^\w.,=+-]", "_", keys)[:LONGEST_KEYS]
    return "-".join(part for part in (config.label(), safe, hashed) if part)


def folder_there(sweep: Path, hashed: str) -> str | None:
    """The folder of the run of this configuration that an earlier sweep without a manifest left
    here, over other keys maybe; None where there is none."""
    found = sorted(sweep.glob(f"*-{hashed}")) if sweep.is_dir() else []
    return found[0].name if found else None


def _inside(folder: str) -> str:
    """The folder of a job, which is one below the sweep's.

    Raises:
        ConfigError: it is not.
    """
    path = PurePath(os.path.normpath(folder))
    if path.is_absolute() or path.parts[:1] in ((".",), ("..",), (".sweep",)) or not path.parts:
        raise ConfigError(
            f"hydra.sweep.subdir={cut(folder)}: is no folder below the sweep's. Name one that is "
            "another for each job, or leave it out."
        )
    return path.as_posix()


def _require_one_each(points: Iterable[Point]) -> None:
    """Refuse jobs that would write to the same folder."""
    seen: dict[str, Point] = {}
    for point in points:
        other = seen.setdefault(point.folder, point)
        if other is not point:
            raise ConfigError(
                f"hydra.sweep.subdir={cut(point.folder)}: is the folder of two jobs, "
                f"{cut(other.name)} and {cut(point.name)}. Name one that is another for each, or "
                "leave it out."
            )
