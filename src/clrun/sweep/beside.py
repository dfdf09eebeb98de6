"""The references of the jobs of a sweep: which runs of it each may be held against. No torch."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from clrun.errors import ConfigError
from clrun.metrics.table import all_metrics, computed
from clrun.records.measured import Measured, read_measured
from clrun.sweep.manifest import Job, read_manifest
from clrun.sweep.outcomes import COMPLETED
from clrun.sweep.record import asked_for_references
from clrun.sweep.references import KINDS, NOT_SHARED, OF_A_METHOD

NEED_THEM = ("intransigence", "relative_forgetting")
"""Metrics of a run beside others."""


class Beside(NamedTuple):
    """The references of a job, as numbers of jobs; None where there is none."""

    naive: int | None
    joint: int | None


class References(NamedTuple):
    """What the references of a job measured; None where there is none that completed."""

    naive: Measured | None
    joint: Measured | None


def references_of(jobs: Sequence[Job]) -> dict[int, Beside]:
    """Job -> its references among the jobs of a sweep, of those that have any.

    Other points of the sweep may be such, too: any naive or joint run of the same stream, model and
    seed whose strategy has the same values where both have a key.
    """
    by_stream: dict[str, list[Job]] = {}
    for job in jobs:
        if _strategy(job)["option"] in KINDS:
            by_stream.setdefault(_stream(job), []).append(job)
    found = {}
    for job in jobs:
        candidates = by_stream.get(_stream(job), [])
        own = Beside(*(_matching(job, kind, candidates) for kind in KINDS))
        if own != (None, None) and not job.is_reference:
            found[job.number] = own
    return found


def measured_beside(path: Path) -> Callable[[Job], References]:
    """What gives the references of a job of the sweep in a folder; none where the sweep was not
    asked for any (`references=true`)."""
    nothing = References(None, None)
    if not asked_for_references(path):
        return lambda job: nothing
    jobs = read_manifest(path)
    known, read = references_of(jobs), partial(_read, path, {})

    def beside(job: Job) -> References:
        own = known.get(job.number, Beside(None, None))
        return References(*(None if number is None else read(jobs[number]) for number in own))

    return beside


def metrics_beside(path: Path) -> Callable[[Job], Mapping[str, float | None]]:
    """What gives the metrics of a completed job that need its references, where it has any."""
    beside = measured_beside(path)
    metrics = {
        key: metric
        for key, metric in all_metrics().items()
        if key in NEED_THEM or metric.twin_of in NEED_THEM
    }

    def computed_beside(job: Job) -> Mapping[str, float | None]:
        naive, joint = beside(job)
        if naive is None and joint is None:
            return {}
        try:
            measured = read_measured(path / job.folder).beside(joint=joint, naive=naive)
        except ConfigError:  # of another stream, or damaged
            return {}
        return computed(measured.measurements, metrics)[0]

    return computed_beside


def _read(path: Path, known: dict[int, Measured | None], job: Job) -> Measured | None:
    """What a completed reference measured."""
    if job.number not in known:
        try:
            found = read_measured(path / job.folder)
        except ConfigError:
            known[job.number] = None
        else:
            known[job.number] = found if found.status == COMPLETED else None
    return known[job.number]


def _matching(job: Job, kind: str, candidates: Sequence[Job]) -> int | None:
    """The reference of a kind whose strategy has the values of this job where both have a key."""
    own = _strategy(job)["values"]
    for other in candidates:
        if _strategy(other)["option"] == kind and other.number != job.number:
            theirs = _strategy(other)["values"]
            shared = (own.keys() & theirs.keys()) - set(NOT_SHARED)
            if all(own[key] == theirs[key] for key in shared) and not theirs.get("plugins"):
                return other.number
    return None


def _strategy(job: Job) -> Mapping[str, Any]:
    return job.config["nodes"]["strategy"]


def _stream(job: Job) -> str:
    """What runs of the same stream, model and seed have in common."""
    nodes = {g: n for g, n in job.config["nodes"].items() if g not in OF_A_METHOD}
    root = {key: job.config["root"].get(key) for key in ("seed", "first_experiences")}
    return json.dumps([nodes, root], sort_keys=True)
