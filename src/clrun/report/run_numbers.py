"""The section of a run's numbers: the headline ones with their intervals, then all."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import NamedTuple

from clrun.metrics import Metric, all_metrics
from clrun.metrics.proportion import Interval
from clrun.records.past_run import PastRun
from clrun.report.beside import Beside
from clrun.report.environment import fragment
from clrun.report.intervals import intervals, test_rows
from clrun.report.page import Section


class Number(NamedTuple):
    """A metric of a run, and of those beside it."""

    metric: Metric
    value: float | None
    reason: str
    """why there is no value"""
    interval: Interval | None
    floor: float | None
    ceiling: float | None
    other: float | None

    @property
    def is_share(self) -> bool:
        """Whether it lies between 0 and 1 and more is better, as an accuracy."""
        is_accuracy = self.metric.better == "higher" and not self.metric.is_signed
        return is_accuracy and self.value is not None and 0 <= self.value <= 1


def numbers_of(run: PastRun, others: Beside) -> list[Number]:
    """Every metric of a run, in the order of results.json; those with task ids, of a run that has
    them."""
    known = intervals(run.measured.measurements)

    def of(other: PastRun | None, key: str) -> float | None:
        return None if other is None else other.metrics.get(key)

    return [
        Number(
            metric=metric,
            value=run.metrics.get(key),
            reason=run.notes.get(key, "was not computed"),
            interval=known.get(key),
            floor=of(others.naive, key),
            ceiling=of(others.joint, key),
            other=of(others.against, key),
        )
        for key, metric in all_metrics().items()
        if metric.twin_of is None or key in run.metrics
    ]


def headlines(numbers: list[Number]) -> list[Number]:
    """Those that the end of a run shows too, in its order."""
    values: Mapping[str, float | None] = {n.metric.key: n.value for n in numbers}
    standing_in = {n.metric.stands_in_for: n for n in numbers if n.metric.stands_in_for}
    found = []
    for number in numbers:
        key = number.metric.key
        if not number.metric.in_end_table or number.metric.stands_in_for:
            continue
        shown = standing_in[key] if values[key] is None and key in standing_in else number
        if shown.value is not None:
            found.append(shown)
    return found


def numbers_section(run: PastRun, others: Beside) -> Section:
    """The section; what has no value says why."""
    found = numbers_of(run, others)
    html = fragment(
        "run_numbers.html",
        headlines=headlines(found),
        numbers=found,
        others=others,
        against=others.against_name(run),
        rows=sum(test_rows(run.measured.measurements) or ()),
    )
    return Section("numbers", "Numbers", html)


def definitions_section(known: Container[str]) -> Section:
    """What each number is, in words and in symbols; of those with task ids the `known` ones."""
    every = all_metrics().items()
    metrics = [metric for key, metric in every if metric.twin_of is None or key in known]
    html = fragment("run_definitions.html", metrics=metrics)
    return Section("definitions", "Definitions", html)
