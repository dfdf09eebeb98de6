"""A unit of work: what a worker leases and runs in a process of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clrun.config.moment import Moment
from clrun.sweep.folder import SweepFolder
from clrun.sweep.manifest import Job


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A job, or what several jobs have in common.

    All paths are absolute. Whoever holds the lease, runs it; the outcome says when it is over.
    """

    name: str
    """for people"""
    lease: Path
    """the file whose lock is held by the worker that has this unit"""
    outcome: Path
    """what became of it; see `clrun.sweep.outcomes`"""
    folder: Path
    """its run folder"""
    config: Mapping[str, Any]
    """`RunConfig.plain`"""
    threads: int
    """of the CPU, in its process"""
    needs: Unit | None = None
    """what must have completed before, from whose state this one begins"""
    until: Moment | None = None
    """the moment after which it has done its part; None: to its end"""
    job: Job | None = None
    """None: what several jobs have in common"""
    identity: Mapping[str, Any] = field(default_factory=dict)
    """as `Job.identity`: where it is to be run, too"""
    latents: Path | None = None
    """where what frozen layers compute is kept for all units that have the same layers"""


def unit_of(sweep: Path, job: Job) -> Unit:
    """A job that shares nothing with others."""
    folder = SweepFolder(sweep.absolute())
    return Unit(
        name=job.folder,
        lease=folder.lease(job.number),
        outcome=folder.outcome(job.number),
        folder=folder.job(job.folder),
        config=job.config,
        threads=int(job.identity["threads"]),
        job=job,
        identity=job.identity,
    )
