"""`seeds=auto`: seeds are added until the interval of the mean is narrow enough, or there are many.

The rule sees the results alone, so that whoever comes next, also after a kill, adds the same ones.
Stopping by the data has a price: an interval that is narrow by chance ends it, so that the last one
covers the truth a little less often than 95 in 100 times; see docs/guides/compare.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clrun.config.applied import Jobs
from clrun.config.compose import initialized
from clrun.config.hydra_errors import explained_errors
from clrun.config.repeats import AUTO
from clrun.config.run_config import RunConfig
from clrun.config.sweep import LOCAL, Sweep, swept_values
from clrun.config.sweep_words import read_sweep
from clrun.console.sweep_display import short_name
from clrun.errors import ConfigError
from clrun.records.outcome import unseeded
from clrun.records.points import HEADLINES
from clrun.records.results_end import read_numbers
from clrun.records.spread import Spread, spread, t_quantile
from clrun.sweep.expand import OUR_SUBFOLDER, Point, job_folder
from clrun.sweep.listed import listed
from clrun.sweep.manifest import Job, read_manifest
from clrun.sweep.outcomes import COMPLETED, is_over, read_outcome
from clrun.sweep.planning import planned
from clrun.sweep.record import SweepRecord, read_record
from clrun.sweep.references import Compose, with_references
from clrun.sweep.start import write_sweep

GROWTH = 2
"""A round at most doubles the seeds: what few of them say of their spread is rough."""


@dataclass(frozen=True, kw_only=True)
class Repeated:
    """The jobs of a point of a sweep that is over, and what they say so far."""

    name: str
    jobs: tuple[Job, ...]
    failed: int
    values: tuple[float, ...]
    """of the completed jobs; empty where one of them has none"""

    @property
    def spread(self) -> Spread | None:
        """None without a value."""
        return spread(self.values) if self.values else None


def missing_seeds(values: Sequence[float], *, width: float, most: int) -> int:
    """How many seeds are to be added to these values; 0 where the interval is narrow enough, or
    there are `most` of them.

    As many as would do if they lay as far apart as those that there are, at most `GROWTH` times as
    many as now.
    """
    count = len(values)
    if count >= most:
        return 0
    if count < 2:
        return min(2, most) - count
    found = spread(values)
    assert found.sd is not None, "of two values there is one"
    if _width(found.sd, count) < width:
        return 0
    last = min(most, GROWTH * count)
    enough = (n for n in range(count + 1, last) if _width(found.sd, n) < width)
    return next(enough, last) - count


def grow(path: Path, say: Callable[[str], None], *, force: bool = False) -> bool:
    """Add the seeds that the rule asks for to the sweep in a folder; whether there were any.

    Raises:
        ClrunError: they cannot be added.
    """
    record = read_record(path)
    if record.repeats.get("seeds") != AUTO:
        return False
    jobs = read_manifest(path)
    if not all(is_over(path, job) for job in jobs):
        return False
    asked: list[Point] = []
    for point in repeated(path, jobs, record.swept):
        count = 0 if point.failed or not point.values else _asked(point, record)
        say(_line(point, record, count))
        if count:
            asked += _points(point, count, record)
    if asked:
        _write(path, asked, record, force=force)
    return bool(asked)


def repeated(path: Path, jobs: Sequence[Job], swept: Sequence[str]) -> list[Repeated]:
    """The points of a sweep, references left out."""
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        if not job.is_reference:
            name = short_name(unseeded(listed(job, swept).values))
            groups.setdefault(name, []).append(job)
    return [_repeated(path, name, members) for name, members in groups.items()]


def _repeated(path: Path, name: str, jobs: Sequence[Job]) -> Repeated:
    done = [job for job in jobs if _is_completed(path, job)]
    metrics = [read_numbers(path / job.folder).metrics for job in done]
    values: tuple[float, ...] = ()
    for key in HEADLINES:
        found = [value for each in metrics if (value := each.get(key)) is not None]
        if len(found) == len(done):
            values = tuple(found)
            break
    return Repeated(name=name, jobs=tuple(jobs), failed=len(jobs) - len(done), values=values)


def _is_completed(path: Path, job: Job) -> bool:
    outcome = read_outcome(path, job.number)
    return outcome is not None and outcome.status == COMPLETED


def _asked(point: Repeated, record: SweepRecord) -> int:
    width, most = float(record.repeats["seeds_width"]), int(record.repeats["seeds_max"])
    return missing_seeds(point.values, width=width, most=most)


def _points(point: Repeated, count: int, record: SweepRecord) -> list[Point]:
    """The next seeds of a point, as jobs."""
    first, where = point.jobs[0], point.jobs[0].config["where"]
    seeds = [int(job.config["root"]["seed"]) for job in point.jobs]
    words = [word for word in first.overrides if word.partition("=")[0].lstrip("+") != "seed"]
    folders, name = _place(where)
    with initialized(**folders) as app, explained_errors():
        sweep = read_sweep(app, name, words)
        compose = composing(sweep)
        found = [
            _point(compose, (*words, f"seed={seed}"), record.swept)
            for seed in range(max(seeds) + 1, max(seeds) + 1 + count)
        ]
        if record.repeats.get("references"):
            return with_references(found, compose, record.swept)
        return found


def composing(sweep: Sweep) -> Compose:
    """What gives the configuration of words that are a job of this sweep."""
    jobs = Jobs(sweep)

    def compose(words: Sequence[str]) -> RunConfig:
        with explained_errors():
            return jobs.found(tuple(words), 0).config

    return compose


def _point(compose: Compose, words: tuple[str, ...], swept: Sequence[str]) -> Point:
    config = compose(words)
    values, hashed = swept_values(words, swept), config.hash()
    folder = job_folder(config, values, hashed)
    return Point(words=words, values=values, config=config, hash=hashed, folder=folder)


def _write(path: Path, points: Sequence[Point], record: SweepRecord, *, force: bool) -> None:
    """Look at the new jobs and write them down."""
    every = {point.hash: point for point in points}
    plan = planned(
        list(every.values()),
        path,
        threads=int(record.options.launcher_keys.get("threads", 1)),
        is_here=record.options.launcher == LOCAL,
        force=force,
    )
    write_sweep(
        path,
        plan,
        command=record.command,
        swept=record.swept,
        output_root=Path(record.output_root),
        options=record.options,
    )


def _line(point: Repeated, record: SweepRecord, count: int) -> str:
    """How sure a point is, and what is done about it."""
    name = f"seeds=auto{f', {point.name}' if point.name else ''}"
    width, most = record.repeats["seeds_width"], record.repeats["seeds_max"]
    if point.failed:
        runs = "1 run" if point.failed == 1 else f"{point.failed} runs"
        return f"{name}: {runs} failed, so that no seeds are added."
    found = point.spread
    if found is None:
        return f"{name}: the final accuracy is undefined, so that no seeds are added."
    seeds = f"{found.n} seed{'' if found.n == 1 else 's'}"
    if found.half_width is None:
        how = f"{seeds} say nothing of how far seeds lie apart"
    else:
        ends = f"{found.mean - found.half_width:.4f} to {found.mean + found.half_width:.4f}"
        how = f"accuracy {found.mean:.4f}, 95 % interval {ends} ({2 * found.half_width:.4f} wide)"
        how += f" with {seeds}"
    if count:
        return f"{name}: {how}; {count} more, for seeds_width={width:g}."
    is_sure = found.half_width is not None and 2 * found.half_width < width
    end = f"narrower than seeds_width={width:g}" if is_sure else f"no more than seeds_max={most}"
    return f"{name}: {how}; {end}."


def _width(sd: float, count: int) -> float:
    return 2 * t_quantile(count - 1) * sd / math.sqrt(count)


def _place(where: Sequence[str]) -> tuple[dict[str, Any], str]:
    """The --config-* words of a job as keywords of `initialized`, and the name of its file."""
    words = [word for word in where if word != "--trust"]
    found = dict(zip(words[::2], words[1::2], strict=True))
    path = found.get("--config-path")
    folders = {
        "config_dirs": [Path(found["--config-dir"])] if "--config-dir" in found else [],
        "config_path": None if path is None else Path(path),
    }
    return folders, found.get("--config-name", "config")


def require_own_folders(sweep: Sweep) -> None:
    """Refuse names of folders that jobs which are added later cannot be given.

    Raises:
        ConfigError: they are named.
    """
    if sweep.subfolder != OUR_SUBFOLDER:
        raise ConfigError(
            f"hydra.sweep.subdir={sweep.subfolder}: seeds=auto and references=true name the "
            "folders of the jobs that they add. Leave it out."
        )
