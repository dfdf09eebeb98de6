"""The sections of a sweep's jobs and of where it comes from: nothing that is missing is hidden."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from clrun.console.sweep_display import short_name
from clrun.errors import ConfigError
from clrun.records.outcome import COMPLETED, FAILED
from clrun.report import numbers
from clrun.report.environment import fragment
from clrun.report.page import Section
from clrun.report.sweep_view import SweepView
from clrun.sweep.progress import way_on
from clrun.sweep.record import SweepRecord, read_record
from clrun.sweep.summary import Row

MOST_NAMED = 20
"""More jobs than this with one reason are counted."""
MOST_ROWS = 400
"""With more jobs than this those that did not complete are shown first; sweep.csv has every job."""


def jobs_section(view: SweepView) -> Section:
    """How the jobs stand, why those failed that did, and a row for each."""
    states = [row.status for row in view.rows]
    unfinished = {
        state: [_name(row) for row in view.rows if row.status == state]
        for state in view.counts()
        if state not in (COMPLETED, FAILED)
    }
    ordered = sorted(view.rows, key=lambda row: row.status == COMPLETED)
    shown = ordered[:MOST_ROWS] if len(ordered) > MOST_ROWS else list(view.rows)
    html = fragment(
        "sweep_jobs.html",
        counts=view.counts(),
        total=len(states),
        reasons=[(reason, len(rows), _named(rows)) for reason, rows in view.reasons()],
        unfinished=[(state, len(names), names[:MOST_NAMED]) for state, names in unfinished.items()],
        way_on=way_on(view.path, states),
        rows=[(row, _name(row), row.outcome.value) for row in shown],
        most=MOST_NAMED,
    )
    return Section("jobs", "Jobs", html)


def sweep_provenance_section(view: SweepView) -> Section:
    """The command, and what the record of the sweep says."""
    try:
        record = read_record(view.path)
    except ConfigError as error:
        html = fragment("sweep_provenance.html", command="", facts=[("record", str(error))])
    else:
        html = fragment(
            "sweep_provenance.html", command=record.command, facts=list(_facts(view, record))
        )
    return Section("provenance", "Provenance", html)


def _facts(view: SweepView, record: SweepRecord) -> Iterator[tuple[str, str]]:
    yield "folder", view.path.absolute().name
    yield "started", record.started
    yield "swept", ", ".join(record.swept)
    yield "sources of clrun", record.code
    options = record.options
    yield "launcher", options.launcher
    yield "shared beginnings", numbers.value(options.share)
    yield "on error", options.on_error
    yield "retries", str(options.retries)
    hosts = dict.fromkeys(row.host for row in view.rows if row.host)
    if hosts:
        yield "ran on", ", ".join(hosts)
    took = sum(row.seconds for row in view.rows if row.seconds is not None)
    yield "seconds of all jobs", numbers.seconds(took)
    again = sum(max(row.attempts - 1, 0) for row in view.rows)
    if again:
        yield "attempts beyond the first", str(again)


def _named(rows: Sequence[Row]) -> list[str]:
    return [_name(row) for row in rows[:MOST_NAMED]]


def _name(row: Row) -> str:
    return short_name(row.values) or row.folder
