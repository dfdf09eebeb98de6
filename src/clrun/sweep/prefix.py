"""What jobs of a sweep have in common at their beginning, so that it is trained once.

Every key says from when on it acts (`Keys.acts_from`). Jobs that agree in all keys that act before
a moment are one run until then: a unit of its own, whose state they go on from. Several such
moments make a tree. It follows from the manifest alone, so that all workers, on any host, have the
same one, whatever is done of it already. No torch here.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from clrun.config.moment import BEGINNING, Moment
from clrun.device import processor
from clrun.sweep.acting import Acting, acting
from clrun.sweep.folder import SweepFolder
from clrun.sweep.manifest import Job, read_manifest
from clrun.sweep.outcomes import are_completed
from clrun.sweep.record import SweepOptions
from clrun.sweep.unit import Unit, unit_of

LATENTS = "latents"
LOWER = ("benchmark", "model", "device")
"""Groups that images and layers follow from."""
MISSING = Acting("", BEGINNING)
"""A key that only other jobs have."""


@dataclass(frozen=True)
class Member:
    """A job, and those of its keys that other jobs of the sweep have otherwise."""

    job: Job
    keys: Mapping[str, Acting]

    def until(self, moment: Moment) -> tuple[str | None, ...]:
        """What acts before a moment."""
        return tuple(k.value if k.moment < moment else None for k in self.keys.values())

    @property
    def moments(self) -> tuple[Moment, ...]:
        """From when on each of the keys acts."""
        return tuple(key.moment for key in self.keys.values())

    def can_lead(self, other: Member) -> bool:
        """Whether a state of this job, from when both still agree, is one that the other can take
        over: where the moment depends on the value, that is so with the later one."""
        pairs = zip(self.keys.values(), other.keys.values(), strict=True)
        return all(a.moment >= b.moment for a, b in pairs)


def units(sweep: Path, jobs: Sequence[Job], options: SweepOptions) -> tuple[Unit, ...]:
    """A unit for each job, in their order; `needs` leads to what it shares with others.

    `jobs` are all of the manifest: what is shared must not depend on which of them are done.
    """
    if not options.share:
        return tuple(unit_of(sweep, job) for job in jobs)
    found = members(jobs)
    moments = sorted({moment for member in found for moment in member.moments} - {BEGINNING})
    grown = {unit.name: unit for unit in _grown(sweep, found, None, moments)}
    latents = SweepFolder(sweep.absolute()).inner(LATENTS)
    alike = Counter(map(_lower, jobs))
    return tuple(
        _with(latents, grown[job.folder]) if alike[_lower(job)] > 1 else grown[job.folder]
        for job in jobs
    )


def tidy(sweep: Path) -> None:
    """Remove latents that nobody will ask for any more: once every job is completed."""
    latents = SweepFolder(sweep).path / ".sweep" / LATENTS
    if not latents.is_dir():
        return
    if are_completed(sweep, read_manifest(sweep)):
        shutil.rmtree(latents, ignore_errors=True)


def members(jobs: Sequence[Job]) -> list[Member]:
    """The jobs with the keys that tell them apart."""
    known = [{**acting(job.config), "identity": _identity(job)} for job in jobs]
    names = dict.fromkeys(name for keys in known for name in keys)
    telling = [n for n in names if len({keys.get(n, MISSING) for keys in known}) > 1]
    return [
        Member(job, {name: keys.get(name, MISSING) for name in telling})
        for job, keys in zip(jobs, known, strict=True)
    ]


def agreeing(group: Sequence[Member], moment: Moment) -> list[list[Member]]:
    """The jobs that can share a beginning until a moment, the one that trains it first."""
    found: dict[tuple[str | None, ...], list[Member]] = {}
    for member in group:
        found.setdefault(member.until(moment), []).append(member)
    return [led for same in found.values() for led in _led(same)]


def _led(group: list[Member]) -> Iterator[list[Member]]:
    """The jobs behind leaders, mostly one."""
    while group:
        leader = max(group, key=lambda member: member.moments)  # the first of several
        yield [leader, *(m for m in group if m is not leader and leader.can_lead(m))]
        group = [member for member in group if not leader.can_lead(member)]


def _grown(
    sweep: Path, group: Sequence[Member], needs: Unit | None, moments: Sequence[Moment]
) -> Iterator[Unit]:
    """The jobs of a group that shares `needs`, and what parts of it share beyond."""
    if not moments:
        yield from (replace(unit_of(sweep, member.job), needs=needs) for member in group)
        return
    moment, *later = moments
    for together in agreeing(group, moment):
        parts = later and len(agreeing(together, later[0])) == 1  # they go on together
        is_shared = len(together) > 1 and not parts
        shared = _shared(sweep, together[0].job, moment, needs) if is_shared else needs
        yield from _grown(sweep, together, shared, later)


def _shared(sweep: Path, leader: Job, moment: Moment, needs: Unit | None) -> Unit:
    """The beginning of a job, until a moment."""
    what = [leader.identity, list(moment), processor.name()]
    digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:12]
    folder = SweepFolder(sweep.absolute())
    return Unit(
        name=f"shared beginning {digest}",
        lease=folder.inner("leases", f"shared-{digest}.lock"),
        outcome=folder.inner("outcomes", f"shared-{digest}.json"),
        folder=folder.inner("shared", digest),
        config=leader.config,
        threads=int(leader.identity["threads"]),
        needs=needs,
        until=moment,
        identity=leader.identity,
    )


def _lower(job: Job) -> str:
    """What jobs have in common whose frozen layers may be the same."""
    nodes, seed = job.config["nodes"], job.config["root"]["seed"]
    named = nodes["strategy"]["values"].get("latent_layer")  # what is frozen, whoever learns above
    strategy = nodes["strategy"]["target"] if named is None else f"above {named}"
    what = [seed, strategy, *(nodes[group] for group in LOWER)]
    return json.dumps(what, sort_keys=True)


def _with(latents: Path, unit: Unit) -> Unit:
    """The unit and what it needs, with where latents are kept."""
    needs = None if unit.needs is None else _with(latents, unit.needs)
    return replace(unit, needs=needs, latents=latents)


def _identity(job: Job) -> Acting:
    """What numbers follow from beside the keys."""
    facts: dict[str, Any] = {**job.identity, "config_hash": None}
    return Acting(json.dumps(facts, sort_keys=True), BEGINNING)
