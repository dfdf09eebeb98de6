"""Whether methods may be compared at all: by runs of one stream, scored alike, on one budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from math import isclose
from typing import Any, NamedTuple

from clrun.compare.methods import Method, Start
from clrun.errors import cut
from clrun.records.past_run import PastRun

BUDGET_SLACK = 0.01
"""Share by which budgets may differ: policies fill a memory up to a row, and streams are cut into
minibatches otherwise where rows come on top."""

ANYTIME = ("aaa", "min_acc", "wc_acc", "wf", "wp", "stability_gap", "gap_recovery")
"""How the keys of metrics begin that depend on how often a run was evaluated."""


class Fact(NamedTuple):
    """Something that runs must have in common."""

    name: str
    of: Callable[[PastRun], Any]
    """None where a run does not say it, which is compared with nothing"""
    cure: str = ""
    """what gives runs the same"""


def _experiences(run: PastRun) -> Sequence[Any]:
    return run.results.get("experiences") or ()


def _rows(run: PastRun, *, key: str, whole: bool) -> int | str | None:
    """How many rows there are, in the whole stream or in each experience."""
    try:
        rows = [int(each[key]) for each in _experiences(run)]
    except (TypeError, LookupError, ValueError):
        return None
    return sum(rows) if whole else cut(" ".join(map(str, rows)))


STREAM = (
    Fact("scored on rows of", lambda run: run.values.get("eval.stream")),
    Fact("benchmark", lambda run: run.options.get("benchmark")),
    Fact("experiences", lambda run: len(_experiences(run)) or None),
    *(
        Fact(name, partial(_rows, key=key, whole=whole))
        for key, rows in (("train_rows", "training rows"), ("test_rows", "test rows"))
        for name, whole in ((rows, True), (f"{rows} of each experience", False))
    ),
    Fact("data (fingerprint)", lambda run: run.measured.fingerprint),
)
"""The first of these that differs is said: those after it follow from it."""

MEMORY = Fact("memory", lambda run: run.cost.get("memory_bytes"))
UPDATES = Fact(
    "updates",
    lambda run: run.cost.get("train_steps"),
    " (strategy.train_iterations gives both as many)",
)
EVALUATIONS = (
    Fact("eval.every_steps", lambda run: str(run.values.get("eval.every_steps"))),
    Fact("eval.subset", lambda run: str(run.values.get("eval.subset"))),
    Fact("strategy.eval_every", lambda run: run.values.get("strategy.eval_every")),
)


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """What tells the runs of two methods apart beside the methods."""

    differs: tuple[str, ...]
    """why they are not comparable, a clause for each reason"""
    notes: tuple[str, ...]
    """what else is worth saying"""


def likeness(a: Method, b: Method, places: Sequence[tuple[Start, Start]], metric: str) -> Likeness:
    """What differs between the runs of two methods; `places` are the starts of each pair."""
    found = list(_blocks(a, b))
    if places and all(one.order != other.order for one, other in places):
        found.append("class order: no run has that of a run of the other")
    found += islice((d for fact in STREAM for d in _differing(a, b, places, fact)), 1)
    for fact in EVALUATIONS if metric.startswith(ANYTIME) else ():
        found += _differing(a, b, places, fact)
    memory = list(_differing(a, b, places, MEMORY, unit=" bytes", slack=BUDGET_SLACK))
    both_have_one = _has_memory(a) and _has_memory(b)
    found += memory if both_have_one else []
    found += _differing(a, b, places, UPDATES, slack=BUDGET_SLACK)
    return Likeness(differs=tuple(found), notes=() if both_have_one else tuple(memory))


def _blocks(a: Method, b: Method) -> Iterator[str]:
    """What was swept beside the methods: a mean over other values is of another thing."""
    if a.blocks != b.blocks:
        both = (", ".join(block or "nothing" for block in each.blocks) for each in (a, b))
        yield "swept beside it: {} against {}".format(*both)


def _differing(
    a: Method,
    b: Method,
    places: Sequence[tuple[Start, Start]],
    fact: Fact,
    *,
    unit: str = "",
    slack: float = 0.0,
) -> Iterator[str]:
    """A clause where the runs of some pair differ in a fact by more than this share."""
    wrong = [
        (one, of_a, of_b)
        for one, other in places
        if (of_a := a.facts(one, fact.of)) and (of_b := b.facts(other, fact.of))
        if not _are_alike(of_a, of_b, slack)
    ]
    if wrong:
        start, of_a, of_b = wrong[0]
        more = len(wrong) - 1
        rest = f" and {more:,} more" if more else ""
        which = "" if len(wrong) == len(places) > 1 else f" (seed {start.seed}{rest})"
        yield f"{fact.name} {_said(of_a)}{unit} against {_said(of_b)}{unit}{which}{fact.cure}"


def _are_alike(a: Sequence[Any], b: Sequence[Any], slack: float) -> bool:
    """Whether two lists have the same values, numbers but for a share."""
    if not slack:
        return set(map(str, a)) == set(map(str, b))
    return len(a) == len(b) and all(
        isclose(one, other, rel_tol=slack) for one, other in zip(sorted(a), sorted(b), strict=True)
    )


def _said(facts: Sequence[Any]) -> str:
    texts = (f"{fact:,}" if isinstance(fact, int) else str(fact) for fact in facts)
    return " and ".join(dict.fromkeys(texts))


def _has_memory(method: Method) -> bool:
    return any(run.past is not None and MEMORY.of(run.past) for run in method.completed)
