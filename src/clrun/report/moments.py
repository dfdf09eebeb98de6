"""When a run was evaluated, and all the ways to count when that was."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from clrun.records.past_run import Line, PastRun
from clrun.report.lines import Axis

MOST = 400
"""Moments that are drawn; of more, those with the lowest accuracies and all ends of experiences."""

EXPERIENCE, UPDATE, SECONDS, ROWS, MACS = "experience", "update", "seconds", "rows", "MACs"

AXES = (
    Axis(EXPERIENCE, "experience", "experience"),
    Axis(UPDATE, "updates"),
    Axis(ROWS, "rows trained on, replayed ones too"),
    Axis(MACS, "multiply-accumulates of training"),
    Axis(SECONDS, "seconds since the start", "seconds"),
)


class Moment(NamedTuple):
    """One evaluation."""

    experience: int
    """that is being learnt or was learnt last, from 0"""
    is_end: bool
    """the experience is learnt"""
    place: float
    """in experiences learnt: 2.5 is in the middle of the third"""
    iteration: int
    seconds: float
    accuracies: Sequence[float | None]
    """on each experience"""
    classes: Sequence[float | None]
    """on each class; empty inside an experience"""
    rows: int | None
    """trained on until then"""
    macs: int | None
    """multiply-accumulates until then; older runs say neither"""


@dataclass(frozen=True, kw_only=True)
class Story:
    """The evaluations of a run in order, and what else its log says of its experiences."""

    moments: Sequence[Moment]
    left_out: int
    """evaluations inside experiences that are not among them"""
    memory: Sequence[Line]
    """the memory after each experience"""
    total_updates: int | None
    total_rows: int | None
    total_macs: int | None

    @property
    def ends(self) -> list[Moment]:
        """Those at the ends of experiences."""
        return [moment for moment in self.moments if moment.is_end]

    def axes(self) -> list[Axis]:
        """What these moments can be counted in."""
        return [axis for axis in AXES if axis.key in self.clock(self.moments)]

    def clock(self, moments: Sequence[Moment]) -> dict[str, list[float]]:
        """Axis -> when each was. Rows and MACs that are known in all alone follow the updates."""
        updates = [float(moment.iteration) for moment in moments]
        found = {
            EXPERIENCE: [moment.place for moment in moments],
            UPDATE: updates,
            SECONDS: [moment.seconds for moment in moments],
        }
        totals = {ROWS: self.total_rows, MACS: self.total_macs}
        for key, spent in ((ROWS, [m.rows for m in moments]), (MACS, [m.macs for m in moments])):
            known, total = [float(number) for number in spent if number is not None], totals[key]
            if len(known) == len(moments):
                found[key] = known
            elif total and self.total_updates:
                found[key] = [update / self.total_updates * total for update in updates]
        return found

    @property
    def is_shared_out(self) -> bool:
        """Whether rows and MACs follow the updates, because their log does not say them."""
        return self.total_rows is not None and any(moment.rows is None for moment in self.moments)


def read_story(run: PastRun) -> Story:
    """What the log of a run says about its evaluations."""
    lines = list(run.lines("eval", "experience", "memory"))
    learnt_at = {
        line["experience"]: line["iteration"] for line in lines if line["kind"] == "experience"
    }
    moments = [
        _moment(line, learnt_at)
        for line in lines
        if line["kind"] == "eval" and line.get("experience") is not None
    ]
    kept = thinned(moments)
    return Story(
        moments=kept,
        left_out=len(moments) - len(kept),
        memory=[line for line in lines if line["kind"] == "memory"],
        total_updates=_whole(run.cost, "train_steps"),
        total_rows=_whole(run.cost, "patterns_seen"),
        total_macs=_whole(run.cost, "train_macs"),
    )


def thinned(moments: Sequence[Moment], most: int = MOST) -> list[Moment]:
    """At most about so many of them: all ends, and of each stretch between the one that is worst,
    so that a drop does not vanish because it is short."""
    inside = [moment for moment in moments if not moment.is_end]
    room = most - (len(moments) - len(inside))
    if len(inside) <= max(room, 0):
        return list(moments)
    stretch = math.ceil(len(inside) / max(room, 1))
    worst = {
        id(min(inside[start : start + stretch], key=_mean))
        for start in range(0, len(inside), stretch)
    }
    return [moment for moment in moments if moment.is_end or id(moment) in worst]


def _moment(line: Line, learnt_at: Mapping[int, int]) -> Moment:
    experience, iteration = line["experience"], line.get("iteration", 0)
    is_end = line.get("epoch") is None
    share = 1.0 if is_end else _share(experience, iteration, learnt_at)
    return Moment(
        experience=experience,
        is_end=is_end,
        place=experience + share,
        iteration=iteration,
        seconds=float(line.get("seconds", 0.0)),
        accuracies=line.get("curve") or line.get("accuracy") or (),
        classes=line.get("class_accuracy", ()) if is_end else (),
        rows=line.get("patterns_seen"),
        macs=line.get("train_macs"),
    )


def _share(experience: int, iteration: int, learnt_at: Mapping[int, int]) -> float:
    """How much of an experience was learnt; one that never ended is taken to be as long as the one
    before it."""
    begin = learnt_at.get(experience - 1, 0)
    end = learnt_at.get(experience, begin + begin - learnt_at.get(experience - 2, 0))
    return min((iteration - begin) / (end - begin), 0.99) if end > begin else 0.5


def _mean(moment: Moment) -> float:
    known = [a for a in moment.accuracies[: moment.experience] if a is not None]
    return sum(known) / len(known) if known else math.inf


def _whole(cost: Mapping[str, Any], key: str) -> int | None:
    value = cost.get(key)
    return int(value) if isinstance(value, int | float) and value > 0 else None
