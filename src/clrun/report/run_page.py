"""The page of a run: what it found, how it went, what it cost, where it comes from."""

from __future__ import annotations

import math
from collections.abc import Iterator

from clrun.console.visible import one_line
from clrun.records.past_run import PastRun
from clrun.records.task_ids import use_of_task_ids
from clrun.report.beside import Beside
from clrun.report.intervals import intervals
from clrun.report.moments import read_story
from clrun.report.numbers import decimal, signed
from clrun.report.page import Banner, Page
from clrun.report.run_cost import cost_section
from clrun.report.run_curves import curves_section
from clrun.report.run_gap import gap_section
from clrun.report.run_matrix import matrix_section
from clrun.report.run_memory import memory_section
from clrun.report.run_numbers import definitions_section, numbers_section
from clrun.report.run_setup import configuration_section, provenance_section

HEADLINES = ("acc_final", "acc_pooled")
"""The number of the verdict: the first that has a value."""


def run_page(run: PastRun, others: Beside | None = None) -> Page:
    """All that a run's folder says, also of one that failed or still goes on."""
    beside, story = others or Beside(), read_story(run)
    sections = (
        numbers_section(run, beside),
        matrix_section(run, beside),
        curves_section(run, story, beside),
        gap_section(run),
        memory_section(run, story),
        cost_section(run),
        configuration_section(run, beside),
        provenance_section(run),
        definitions_section(run.metrics),
    )
    return Page(
        kind="run report",
        title=run.name or run.label,
        verdict=verdict(run, beside),
        facts=list(_facts(run)),
        banners=list(_banners(run)),
        sections=[section for section in sections if section is not None],
    )


def verdict(run: PastRun, others: Beside) -> str:
    """The run in one sentence."""
    key = next((key for key in HEADLINES if run.metrics.get(key) is not None), None)
    begin = _how_far(run)
    if key is None:
        return f"{begin}; nothing was measured that a number could be of."
    value = run.metrics[key] or 0.0
    interval = intervals(run.measured.measurements).get(key)
    sure = f" (95 % interval {decimal(interval[0])} to {decimal(interval[1])})" if interval else ""
    kind = "mean test accuracy" if key == "acc_final" else "accuracy over all test rows"
    rest = f"{_kept(run)}{_between(value, key, run, others)}"
    return f"{begin}, its {kind} is {decimal(value)}{sure}{rest}."


def _how_far(run: PastRun) -> str:
    finished, total = run.measured.experiences, run.measured.total
    if total is None:
        after = f"After {finished} finished experience{'' if finished == 1 else 's'}"
    elif run.status == "completed" and finished == 1 and total > 1:
        after = f"After learning all {total} experiences at once"
    elif finished == total:
        after = f"After {'its only experience' if total == 1 else f'all {total} experiences'}"
    else:
        after = f"After {finished} of {total} experiences"
    return after


def _kept(run: PastRun) -> str:
    """What became of what was learnt before."""
    change = run.metrics.get("bwt")
    if change is None:
        return ""
    if abs(change) < 0.0005:
        return ", with nothing lost of what it had learnt before"
    what = "lost" if change < 0 else "gained"
    return f", with {decimal(abs(change))} {what} on average on what it had learnt before"


def _between(value: float, key: str, run: PastRun, others: Beside) -> str:
    """Where the run stands between the floor and the ceiling."""
    floor = None if others.naive is None else others.naive.metrics.get(key)
    ceiling = None if others.joint is None else others.joint.metrics.get(key)
    if floor is not None and ceiling is not None and ceiling > floor:
        percent = math.floor((value - floor) / (ceiling - floor) * 100)
        return (
            f"; that is {percent}\u00a0% of the way from a naive run ({decimal(floor)}) to a "
            f"joint one ({decimal(ceiling)})"
        )
    if floor is not None:
        return f"; a naive run has {decimal(floor)}"
    if ceiling is not None:
        return f"; a joint run has {decimal(ceiling)}"
    if others.against is not None and others.against.metrics.get(key) is not None:
        theirs = others.against.metrics[key] or 0.0
        return f"; that is {signed(value - theirs)} against {others.against_name(run)}"
    return ""


def _banners(run: PastRun) -> Iterator[Banner]:
    """What has to be known before any number is read."""
    finished = f"What follows is of the {run.measured.experiences} experiences that it finished."
    if run.status == "failed":
        yield Banner("bad", f"This run failed: {one_line(run.error or 'no reason was recorded')}")
        yield Banner("note", finished)
    elif run.status == "interrupted":
        yield Banner("note", f"This run was interrupted; clrun resume goes on with it. {finished}")
    elif run.status == "running":
        yield Banner("note", f"This run is still running. {finished}")
    elif run.status != "completed":
        said = {"died": "The process of this run ended without a word; clrun resume goes on."}
        yield Banner(
            "bad", f"{said.get(run.status, 'The record of this run is damaged.')} {finished}"
        )
    data = (run.results.get("notes") or {}).get("data")
    for note in data if isinstance(data, list) else [data] if data else []:
        yield Banner("note", one_line(str(note)))


def _facts(run: PastRun) -> Iterator[tuple[str, str]]:
    for group in ("strategy", "benchmark", "model"):
        if group in run.options:
            yield group, run.options[group]
    if run.seed is not None:
        yield "seed", str(run.seed)
    yield "task ids", use_of_task_ids(run.values)
    if run.record.get("device"):
        yield "device", str(run.record["device"])
    yield "status", run.status
    if run.record.get("started"):
        yield "started", f"{str(run.record['started'])[:16].replace('T', ' ')} UTC"
