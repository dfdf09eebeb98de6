"""The sections of how a run was made: its configuration, and where it comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from clrun.records.past_run import PastRun
from clrun.report import numbers
from clrun.report.beside import Beside
from clrun.report.defaults import ABSENT, settings
from clrun.report.environment import fragment
from clrun.report.page import Section

SAID = {"config_hash": "hash of the configuration", "git_commit": "commit of clrun"}


def configuration_section(run: PastRun, others: Beside) -> Section:
    """The keys, those first that somebody changed."""
    found = settings(run, others.against)
    rows = [
        {
            "key": each.key,
            "value": _text(each.value),
            "default": _text(each.default),
            "other": _text(each.other),
            "comment": each.comment,
            "is_same": each.is_like_other if others.against is not None else each.is_default,
        }
        for each in found
    ]
    html = fragment(
        "run_configuration.html",
        rows=rows,
        changed=sum(not row["is_same"] for row in rows),
        against=others.against_name(run),
        plugins=_plugins(run),
    )
    return Section("configuration", "Configuration", html)


def provenance_section(run: PastRun) -> Section:
    """The command, and everything that the run's record says of where it was made."""
    html = fragment(
        "run_provenance.html",
        command=str(run.record.get("command") or ""),
        facts=list(_facts(run)),
        versions=_mapping(run.record.get("versions")),
        resumed=[each for each in run.record.get("resumed") or () if isinstance(each, Mapping)],
    )
    return Section("provenance", "Provenance", html)


def _text(value: Any) -> str:
    return "" if value is ABSENT else numbers.value(value)


def _plugins(run: PastRun) -> list[tuple[str, str]]:
    plugins = _mapping(run.record.get("config")).get("plugins")
    return [
        (str(each.get("option")), numbers.value(dict(_mapping(each.get("values")))))
        for each in (plugins if isinstance(plugins, list) else ())
        if isinstance(each, Mapping)
    ]


def _facts(run: PastRun) -> Iterator[tuple[str, str]]:
    yield "folder", run.folder.absolute().name
    yield "status", run.status
    yield from _recorded(run.record, ("started", "ended"))
    if isinstance(run.record.get("seconds"), int | float):
        yield "took", numbers.seconds(run.record["seconds"])
    for name, value in _mapping(run.record.get("seeds")).items():
        yield str(name).replace("_", " "), numbers.value(value)
    yield from _recorded(run.record, ("device", "processor", "threads", "weights"))
    data = _mapping(run.record.get("data"))
    yield from _recorded(data, ("fingerprint",), "data: ")
    yield from _recorded(_mapping(data.get("inputs")), ("mean", "std"), "inputs: ")
    yield from _recorded(run.record, ("config_hash", "git_commit"))
    for name, digest in _mapping(run.record.get("code")).items():
        yield f"sources of {name}", str(digest)


def _recorded(
    given: Mapping[str, Any], keys: Sequence[str], before: str = ""
) -> Iterator[tuple[str, str]]:
    """The values of these keys, of those that have one."""
    for key in keys:
        if given.get(key) is not None:
            yield f"{before}{SAID.get(key, key)}", numbers.value(given[key])


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
