"""From runs to methods: which runs are of one method, and what tells methods apart."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from clrun.compare.gathered import Gathered, gathered, is_of_start
from clrun.compare.methods import Method, MethodRun
from clrun.config.run_config import UNNAMED
from clrun.config.sources import OF_A_RUN
from clrun.console.sweep_display import short_name
from clrun.errors import ConfigError, cut, did_you_mean
from clrun.records.outcome import job_name

NOTHING = "-"
"""The value of a key that a method does not have."""

MOST_KEYS = 4
"""More keys than this that tell methods apart are not named; their folders are."""

UNTELLING = ("log_every", "data_root", "download", "eval_mb_size")
"""Last parts of keys that no method differs by, beside those that are in no hash."""

Groups = dict[Hashable, list[Gathered]]


def methods_of(folders: Sequence[str], by: Sequence[str] = ()) -> list[Method]:
    """The methods in these folders: those of `by`, or else the points of sweeps and the
    configurations of runs. The references of a sweep are none.

    Raises:
        ConfigError: a folder holds no run, no run has a key of `by`, a method has two runs of the
            same seed that `by` does not tell apart, or there is one method alone.
    """
    places = [str(Path(folder).resolve()) for folder in folders]
    for place, folder in zip(places, folders, strict=True):
        if places.count(place) > 1:
            raise ConfigError(f"{folder}: is named twice. Name each folder once.")
    sources = [[r for r in gathered(folder) if not r.is_reference] for folder in folders]
    runs = [run for source in sources for run in source]
    groups = _by_keys(runs, by) if by else _by_configuration(sources)
    if len(groups) < 2:
        raise ConfigError(_alone(runs, by))
    values = _values_by(groups, by) if by else _telling(list(groups.values()), folders, sources)
    names = _names(values, list(groups.values()))
    methods = [
        _method(name, named, members, by)
        for name, named, members in zip(names, values, groups.values(), strict=True)
    ]
    for method, members in zip(methods, groups.values(), strict=True):
        _require_one_of_each(method, members, by)
    return methods


def _by_keys(runs: Sequence[Gathered], by: Sequence[str]) -> Groups:
    known = {key: None for run in runs for key in (*run.keys, *run.values)}
    for key in by:
        if key not in known:
            guess = did_you_mean(key, list(known))
            raise ConfigError(f"--by {cut(key)}: none of these runs has such a key.{guess}")
        if is_of_start(key):
            raise ConfigError(f"--by {key}: pairs the runs of a method. Name another key.")
    groups: Groups = defaultdict(list)
    for run in runs:
        groups[tuple(run.setting(key) or NOTHING for key in by)].append(run)
    return groups


def _by_configuration(sources: Sequence[Sequence[Gathered]]) -> Groups:
    """The points of each sweep; single runs whose configurations differ in seed and class order
    alone, whichever folder they are named by."""
    groups: Groups = defaultdict(list)
    for number, source in enumerate(sources):
        for run in source:
            if run.sweep is not None:
                values = ((k, v) for k, v in run.values.items() if not is_of_start(k))
                groups[number, run.sweep, tuple(values)].append(run)
            else:
                of = number if len(source) > 1 else None
                groups[of, _configuration(run)].append(run)
    return _without_doubles(groups)


def _without_doubles(groups: Groups) -> Groups:
    """The same, where single runs of one configuration and start are a method each."""
    found: Groups = {}
    for key, runs in groups.items():
        starts = [run.start for run in runs if run.start is not None]
        if len(starts) > len(set(starts)) and all(run.sweep is None for run in runs):
            found |= {run.folder: [run] for run in runs}
        else:
            found[key] = runs
    return found


def _configuration(run: Gathered) -> str:
    """All keys of a run but what makes it a pair with others, and where it is written."""
    given = {key: run.setting(key) for key in run.keys}
    kept = {k: v for k, v in given.items() if not _says_nothing(k)}
    return json.dumps([kept, run.config.get("plugins")], sort_keys=True)


def _says_nothing(key: str) -> bool:
    """Whether a key tells no method from another."""
    return is_of_start(key) or key in UNNAMED or key.rpartition(".")[2] in UNTELLING


def _alone(runs: Sequence[Gathered], by: Sequence[str]) -> str:
    if not by or len(runs) == 1:
        count = f"{len(runs)} run{'' if len(runs) == 1 else 's'}"
        return f"compare: one method alone, {count}. Name another run or sweep beside it."
    same = f"--by {','.join(by)}: all {len(runs)} runs have the same"
    return f"{same}. Name another run or sweep beside them."


def _values_by(groups: Groups, by: Sequence[str]) -> list[dict[str, str]]:
    return [{key: members[0].setting(key) or NOTHING for key in by} for members in groups.values()]


def _telling(
    groups: Sequence[Sequence[Gathered]],
    folders: Sequence[str],
    sources: Sequence[Sequence[Gathered]],
) -> list[dict[str, str]]:
    """What tells the groups apart, as few keys as do; else the folders that they are in."""
    swept = [k for members in groups for run in members for k in run.values]
    every = [k for members in groups for run in members for k in run.keys]
    keys = [k for k in dict.fromkeys((*OF_A_RUN, *swept, *every)) if not _says_nothing(k)]
    table = {key: [_setting(members, key) for members in groups] for key in keys}
    differing = {key: of_key for key, of_key in table.items() if len(set(of_key)) > 1}
    for key, of_key in differing.items():
        if len(set(of_key)) == len(groups):
            return [{key: value} for value in of_key]
    for chosen in _choices(differing, swept):
        rows = list(zip(*(differing[key] for key in chosen), strict=True))
        if len(set(rows)) == len(groups):
            return [dict(zip(chosen, row, strict=True)) for row in rows]
    return [{"folder": _folder(members, folders, sources)} for members in groups]


def _choices(differing: Mapping[str, Sequence[str]], swept: Sequence[str]) -> Iterator[list[str]]:
    """Keys that may tell groups apart together: what was swept, with the groups, or a few."""
    of_sweep = [key for key in differing if key in swept]
    if of_sweep:
        yield of_sweep
        yield [key for key in differing if key in swept or key in OF_A_RUN]
    if len(differing) <= MOST_KEYS:
        yield list(differing)


def _setting(members: Sequence[Gathered], key: str) -> str:
    values = dict.fromkeys(run.setting(key) or NOTHING for run in members)
    return next(iter(values)) if len(values) == 1 else NOTHING


def _folder(
    members: Sequence[Gathered], folders: Sequence[str], sources: Sequence[Sequence[Gathered]]
) -> str:
    """The folder that a group is in, as it was named, with what was swept there."""
    named = next(f for f, source in zip(folders, sources, strict=True) if members[0] in source)
    swept = job_name({k: v for k, v in members[0].values.items() if not is_of_start(k)})
    return f"{named} {swept}".strip()


def _names(values: Sequence[Mapping[str, str]], groups: Sequence[Sequence[Gathered]]) -> list[str]:
    """What each method is called; those that would be called alike by the folder of a run."""
    names = [next(iter(v.values())) if len(v) == 1 else short_name(v) for v in values]
    return [
        name if names.count(name) == 1 else str(members[0].folder)
        for name, members in zip(names, groups, strict=True)
    ]


def _method(
    name: str, values: Mapping[str, str], members: Iterable[Gathered], by: Sequence[str]
) -> Method:
    return Method(name=name, values=values, runs=tuple(_run(run, by) for run in members))


def _run(run: Gathered, by: Sequence[str]) -> MethodRun:
    beside = {k: v for k, v in run.values.items() if not is_of_start(k) and k not in by}
    return MethodRun(
        folder=run.folder,
        name=job_name(run.values) or str(run.folder),
        status=run.status,
        reason=run.reason,
        block=job_name(beside) if by else "",
        past=run.past,
        start=run.start,
    )


def _require_one_of_each(method: Method, members: Sequence[Gathered], by: Sequence[str]) -> None:
    """Refuse a method with two runs that are the same but for keys that nobody named.

    Raises:
        ConfigError: there are such.
    """
    seen: dict[Hashable, Gathered] = {}
    for run, member in zip(method.runs, members, strict=True):
        if not run.is_completed:
            continue
        other = seen.setdefault((run.start, run.block), member)
        if other is not member:
            keys = [k for k in member.keys if member.setting(k) != other.setting(k)]
            keys = [k for k in keys if not _says_nothing(k)]
            differ = f", which differ in {', '.join(keys[:MOST_KEYS])}" if keys else ""
            way = f"Say --by {','.join((*by, keys[0]))}" if keys and by else "Name one of them"
            raise ConfigError(
                f"{method.name}: has two runs with {run.start}, {other.folder} and "
                f"{member.folder}{differ}. {way}."
            )
