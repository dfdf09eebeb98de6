"""The runs that no number of a comparison is from, and why: none is left out in silence."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence

from clrun.compare.judged import Judged
from clrun.compare.methods import Method, MethodRun, Start
from clrun.metrics.metric import Metric
from clrun.records.outcome import COMPLETED

MOST_NAMED = 12
"""More runs than this are counted, not named."""


def missing_lines(methods: Sequence[Method], metric: Metric, found: Judged) -> Iterator[str]:
    """A line for each run that no number is from."""
    name = start_names(methods)
    for method in methods:
        for status in dict.fromkeys(run.status for run in method.runs):
            if status != COMPLETED:
                runs = [run for run in method.runs if run.status == status]
                yield from _named(f"{method.name}: {status}", list(map(_reasoned, runs)))
        undefined = [run for run in method.completed if run.value(metric.key) is None]
        said = [f"{run.name} ({why(run, metric.key)})" for run in undefined]
        yield from _named(f"{method.name}: {metric.key} is undefined", said)
    for duel in found.duels:
        for one, other, alone in (
            (duel.a, duel.b, duel.pairs.only_a),
            (duel.b, duel.a, duel.pairs.only_b),
        ):
            yield from _named(f"{one}: no partner in {other}", list(map(name, alone)))


def _named(what: str, names: Sequence[str]) -> Iterator[str]:
    if names:
        more = len(names) - MOST_NAMED
        rest = f", {more:,} more" if more > 0 else ""
        yield f"{what} ({len(names):,}): {', '.join(names[:MOST_NAMED])}{rest}"


def _reasoned(run: MethodRun) -> str:
    return run.name if run.reason is None else f"{run.name} ({run.reason})"


def why(run: MethodRun, metric: str) -> str:
    """Why a metric of a completed run has no value."""
    return "" if run.past is None else run.past.notes.get(metric, "no value")


def start_names(methods: Sequence[Method]) -> Callable[[Hashable], str]:
    """What calls a pair by its seed, and where there are several class orders by that too."""
    orders = {start.order for method in methods for start in method.starts}

    def name(key: Hashable) -> str:
        if not isinstance(key, Start):
            return f"seed {key}"
        return str(key) if len(orders) > 1 else f"seed {key.seed}"

    return name


def means_over(methods: Sequence[Method]) -> Iterator[str]:
    """That values are means over what was swept beside the methods."""
    blocks = dict.fromkeys(block for method in methods for block in method.blocks)
    if len(blocks) > 1:
        yield f"Each value is the mean over {', '.join(blocks)} of one seed."
