"""From the points of a sweep to its manifest: what is there already, what is new, what differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from clrun.config.problems import shown
from clrun.config.run_config import UNNAMED, RunConfig
from clrun.config.sweep import swept_values
from clrun.errors import FolderError, cut
from clrun.records.identity import code_of, differences
from clrun.records.run_folder import read_record as run_record
from clrun.records.run_folder import require_unused, run_status
from clrun.records.run_record import versions
from clrun.sweep.examine import Answer, Question, examined
from clrun.sweep.expand import Point, folder_there, of_job
from clrun.sweep.folder import is_sweep
from clrun.sweep.manifest import Job, read_manifest
from clrun.sweep.outcomes import are_completed, is_over
from clrun.sweep.record import read_record
from clrun.sweep.server import called
from clrun.sweep.sources_now import done_otherwise, stream_of

MOST_SHOWN = 5
"""Differences of a job that are named."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Points that were looked at, and what of them is to be done."""

    points: Sequence[Point]
    identities: Mapping[str, Mapping[str, Any]]
    """hash -> identity, of those that are not over yet"""
    notes: Sequence[str]
    force: bool
    """jobs that are not over are run although their numbers will be others"""

    def jobs(self, folder: Path) -> tuple[Job, ...]:
        """The manifest: the jobs that the folder has, as they were, and those that are new.

        Raises:
            FolderError: the folder is another sweep's, or a job that is not over would not give
                the numbers that it was to give.
        """
        jobs = list(read_manifest(folder)) if is_sweep(folder) else []
        swept = read_record(folder).swept if jobs else ()
        numbers = {job.hash: job.number for job in jobs}
        by_values = {_values(job.values): job for job in jobs}
        for point in self.points:
            number = numbers.get(point.hash)
            if number is None:
                # what was swept here before, and is one value now
                values = {**swept_values(point.words, swept), **point.values}
                _require_another_point(folder, point, by_values.get(_values(values)))
                jobs.append(self._job(folder, point, jobs, values))
            elif point.hash in self.identities:
                jobs[number] = self._as_before(folder, point, jobs[number])
        return tuple(jobs)

    def _job(
        self, folder: Path, point: Point, jobs: Sequence[Job], values: Mapping[str, str]
    ) -> Job:
        """A job that is new here; its run may be there, of a sweep without a manifest."""
        name = folder_there(folder, point.hash) or point.folder
        _require_room(folder / name, point.hash)
        _require_unnamed(folder, name, point, jobs)
        return Job(
            number=len(jobs),
            overrides=point.words,
            values=values,
            folder=name,
            config=point.config.plain(),
            identity=self.identities[point.hash],
            is_reference=point.is_reference,
        )

    def _as_before(self, folder: Path, point: Point, job: Job) -> Job:
        """The job as it was; where its numbers would be others, only by force.

        Raises:
            FolderError: they would, and it is not forced.
        """
        now = self.identities[point.hash]
        known = {key: value for key, value in now.items() if key in job.identity}
        different = differences({k: job.identity[k] for k in known}, known)
        if not different:
            return job
        if self.force:
            return replace(job, identity=now)
        some = "; ".join(different[:MOST_SHOWN])
        raise FolderError(
            f"{folder}: job {job.number} ({point.name}) is not over, and would not give the "
            f"numbers it was to give. {some}. With --force it is run nevertheless."
        )


def planned(
    points: Sequence[Point],
    folder: Path | None,
    *,
    threads: int,
    is_here: bool,
    retry_failed: bool = False,
    force: bool = False,
) -> Plan:
    """Look at every point that is not over in this folder; nothing is written.

    `threads` are those of a job that says none; `is_here`: jobs run on this machine.

    Raises:
        ClrunError: a point is wrong, or the folder is not one for them.
    """
    old = read_manifest(folder) if folder is not None and is_sweep(folder) else ()
    over = {
        job.hash
        for job in old
        if folder is not None and is_over(folder, job, retry_failed=retry_failed)
    }
    asked = [point for point in points if point.hash not in over]
    answer = _asked(asked, threads=threads, is_here=is_here) if asked else Answer()
    _require_right(asked, answer)
    common = {"versions": versions()}
    codes = _Codes()
    identities = {
        point.hash: {"config_hash": point.hash, **common, "code": codes.of(point.config), **facts}
        for point, facts in zip(asked, answer.facts, strict=True)
    }
    streams = (stream_of(point.config.plain()) for point in asked)
    data = {each: facts["data"] for each, facts in zip(streams, answer.facts, strict=True)}
    named = over & {point.hash for point in points}
    done = [j for j in old if j.hash in named and folder is not None and are_completed(folder, [j])]
    otherwise = done_otherwise(done, threads=threads, data=data)
    plan = Plan(
        points=points,
        identities=identities,
        notes=[*answer.notes, *([otherwise] if otherwise else [])],
        force=force,
    )
    if folder is not None and folder.is_dir():
        require_unused(folder)
        plan.jobs(folder)
    return plan


class _Codes:
    """Digests of the sources that runs are from, made once for those from the same."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], dict[str, str]] = {}

    def of(self, config: RunConfig) -> dict[str, str]:
        """As run.json has it."""
        nodes = (*config.nodes.values(), *config.plugins)
        parts = tuple(part.target for node in nodes for part in (node, *node.parts.values()))
        if parts not in self._known:
            self._known[parts] = code_of(config)
        return self._known[parts]


def _asked(points: Sequence[Point], *, threads: int, is_here: bool) -> Answer:
    """What a process with torch says of these; it gets what differs by the seed alone once."""
    places: dict[str, int] = {}
    configs: list[Mapping[str, Any]] = []
    jobs = []
    for point in points:
        seedless = replace(point.config, root=replace(point.config.root, seed=0))
        place = places.setdefault(seedless.hash(), len(places))
        if place == len(configs):
            configs.append(point.config.plain())
        jobs.append((place, point.config.seed))
    question = Question(configs=configs, jobs=jobs, threads=threads, is_here=is_here)
    return called(examined, question)


def _require_right(asked: Sequence[Point], answer: Answer) -> None:
    """Refuse the sweep for what is wrong with one of its jobs, and say which."""
    if answer.problems:
        raise of_job(answer.problems, asked[len(answer.facts)].values)


def _values(values: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(values.items()))


def _require_another_point(folder: Path, point: Point, job: Job | None) -> None:
    """Refuse a point that is another than the job with its values.

    Raises:
        FolderError: there is such a job.
    """
    if job is None:
        return
    different = _changed(job.config, point.config.plain())
    raise FolderError(
        f"{folder}: is the folder of another sweep: its job {job.number} ({point.name}) has "
        f"{'; '.join(different[:MOST_SHOWN])}. Name another folder, or none for a fresh one."
    )


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The keys that differ, with their value before."""
    was, is_now = _keys(before), _keys(now)
    found = [
        f"{key}={shown(was.get(key))}, not {shown(is_now.get(key))}"
        for key in {**was, **is_now}
        if was.get(key) != is_now.get(key)
    ]
    return found or ["another configuration"]


def _keys(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Choices and keys of a configuration as they are typed, less those that change nothing."""
    keys = {key: value for key, value in plain["root"].items() if key not in UNNAMED}
    for group, node in plain["nodes"].items():
        keys |= {group: node["option"]}
        keys |= {f"{group}.{key}": value for key, value in node["values"].items()}
    return keys


def _require_room(path: Path, hashed: str) -> None:
    """Refuse the folder of a job that holds another run.

    Raises:
        FolderError: it does.
    """
    if run_status(path) is not None and run_record(path).get("config_hash") != hashed:
        require_unused(path)


def _require_unnamed(folder: Path, name: str, point: Point, jobs: Sequence[Job]) -> None:
    """Refuse the folder of a job that is another's, who may not have begun.

    Raises:
        FolderError: it is.
    """
    for job in jobs:
        if job.folder == name:
            raise FolderError(
                f"{folder / name}: is the folder of job {job.number}, and would be that of "
                f"{cut(point.name)} too. Leave out hydra.sweep.subdir, or name one that follows "
                "from the keys alone."
            )
