"""A comparison of methods from their folders to its verdict: what is shown, and what is missing."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

from clrun.compare.equal_cost import equal_costs
from clrun.compare.grouped import methods_of
from clrun.compare.judged import Duel, Judged, judged
from clrun.compare.likeness import likeness
from clrun.compare.methods import Method, Start
from clrun.compare.missing import (
    MOST_NAMED,
    means_over,
    missing_lines,
    start_names,
    why,
)
from clrun.compare.plain import plain_duel, plain_method
from clrun.errors import ConfigError, did_you_mean
from clrun.metrics.metric import Metric
from clrun.metrics.table import all_metrics

MOST_METHODS = 12
"""More methods than this are compared with one of them: over all their pairs nothing is shown."""

Place = tuple[Start, Start]
"""The starts of the two runs of a pair."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """All that is to be said of methods side by side, for a terminal or a page."""

    metric: Metric
    methods: tuple[Method, ...]
    """in the order in which they were found"""
    judged: Judged
    """every duel and the verdict"""
    baseline: str | None
    unlike: tuple[str, ...]
    """what differs between methods that were compared nevertheless, a sentence each"""
    missing: tuple[str, ...]
    """every run that is not in it, and why; long lists are counted"""
    notes: tuple[str, ...]
    """what else is to be known, a sentence each"""

    @property
    def duels(self) -> tuple[Duel, ...]:
        """Every two methods that were compared."""
        return self.judged.duels

    @property
    def verdict(self) -> str:
        """The one sentence that it comes to."""
        return self.judged.verdict

    def by(self, metric: str) -> Judged | None:
        """The same methods by another metric; None where no two of them share a value."""
        other = all_metrics()[metric]
        return _judged(self.methods, other, self.baseline, by_seed=bool(self.unlike))

    def plain(self) -> dict[str, Any]:
        """All of it, for JSON."""
        key, name = self.metric.key, start_names(self.methods)
        return {
            "metric": key,
            "label": self.metric.label,
            "better": self.metric.better,
            "verdict": self.verdict,
            "baseline": self.baseline,
            "methods": [plain_method(method, key, name) for method in self.methods],
            "comparisons": [plain_duel(duel, name) for duel in self.duels],
            "equal_cost": [asdict(found) for found in equal_costs(self.methods)],
            "unlike": list(self.unlike),
            "missing": list(self.missing),
            "notes": list(self.notes),
        }


def compared_groups(
    folders: Sequence[str],
    *,
    by: Sequence[str] = (),
    metric: str = "acc_final",
    baseline: str | None = None,
    anyway: bool = False,
) -> Compared:
    """Compare what lies in these folders.

    Raises:
        ConfigError: there is nothing to compare, or the methods are not alike and `anyway` is not
            said; a line for each two methods and reason.
    """
    measure = _metric(metric)
    methods = methods_of(folders, by)
    base = None if baseline is None else _baseline(baseline, methods)
    if base is None and len(methods) > MOST_METHODS:
        raise ConfigError(
            f"compare: {len(methods)} methods would be compared with one another. Say with which "
            f"one: --baseline {methods[0].name!r}, or put fewer side by side by --by KEY."
        )
    unlike, notes = _unlike(methods, metric, base)
    if unlike and not anyway:
        way = "Compare runs that are alike, or say --anyway"
        raise ConfigError([f"{line.rstrip('.')}. {way}." for line in unlike])
    found = _judged(methods, measure, base, by_seed=bool(unlike))
    if found is None:
        raise ConfigError(_nothing(methods, measure))
    return Compared(
        metric=measure,
        methods=tuple(methods),
        judged=found,
        baseline=base,
        unlike=tuple(unlike),
        missing=tuple(missing_lines(methods, measure, found)),
        notes=tuple(dict.fromkeys((*means_over(methods), *notes))),
    )


def _metric(key: str) -> Metric:
    metrics = all_metrics()
    if key not in metrics:
        guess = did_you_mean(key, list(metrics))
        raise ConfigError(f"--metric {key}: no such metric.{guess} Metrics: {', '.join(metrics)}.")
    return metrics[key]


def _baseline(name: str, methods: Sequence[Method]) -> str:
    """The method of this name, or with this `key=value`."""
    for method in methods:
        if name in (method.name, *(f"{key}={value}" for key, value in method.values.items())):
            return method.name
    names = [method.name for method in methods]
    guess = did_you_mean(name, names)
    raise ConfigError(f"--baseline {name}: no such method.{guess} Methods: {', '.join(names)}.")


def _judged(
    methods: Sequence[Method], metric: Metric, baseline: str | None, *, by_seed: bool
) -> Judged | None:
    """What comes of these values; None where no two methods share one."""
    scores: dict[str, Mapping[Hashable, float]] = {
        method.name: _scores(method, metric.key, by_seed=by_seed) for method in methods
    }
    names = [name for name in scores if scores[name]]
    pairs = combinations(names, 2) if baseline is None else ((n, baseline) for n in names)
    if not any(scores[a].keys() & scores[b].keys() for a, b in pairs if a != b):
        return None
    return judged(scores, better=metric.better, of=metric.label, baseline=baseline)


def _scores(method: Method, metric: str, *, by_seed: bool) -> dict[Hashable, float]:
    """The values of a method; where methods are unlike, for each seed that has one alone."""
    own = method.scores(metric)
    seeds = [start.seed for start in own]
    if not by_seed or len(seeds) > len(set(seeds)):
        return {start: own[start] for start in own}
    return {start.seed: value for start, value in own.items()}


def _unlike(
    methods: Sequence[Method], metric: str, baseline: str | None
) -> tuple[list[str], list[str]]:
    """(why methods that would be compared are not comparable, what else differs)."""
    unlike, notes = list[str](), list[str]()
    for a, b in combinations(methods, 2):
        if baseline not in (None, a.name, b.name):
            continue
        found = likeness(a, b, _places(a, b), metric)
        unlike += [f"{a.name} and {b.name} are not alike: {each}." for each in found.differs]
        notes += [f"{a.name} and {b.name}: {each}." for each in found.notes]
    return unlike, notes


def _places(a: Method, b: Method) -> list[Place]:
    """The pairs that two methods have: by seed and class order, or if there are none by seed."""
    shared = [(start, start) for start in a.starts if start in b.starts]
    seeds = {start.seed: start for start in b.starts}
    return shared or [(start, seeds[start.seed]) for start in a.starts if start.seed in seeds]


def _nothing(methods: Sequence[Method], metric: Metric) -> list[str]:
    """Why no two methods can be compared."""
    counts = "; ".join(_counted(method, metric.key) for method in methods[:MOST_NAMED])
    runs = [(method, run) for method in methods for run in method.runs]
    failed = [f"{m.name}: {r.name} is {r.status}: {r.reason}" for m, r in runs if r.reason]
    undefined = [
        f"{method.name}: {metric.key} is undefined: {why(method.completed[0], metric.key)}."
        for method in methods
        if method.completed and not method.scores(metric.key)
    ]
    line = f"compare: no two methods have a value of {metric.key} for the same seed: {counts}."
    return [line, *(undefined + failed)[:MOST_NAMED]]


def _counted(method: Method, metric: str) -> str:
    seeds = ", ".join(str(start.seed) for start in method.scores(metric))
    return f"{method.name} has {f'seeds {seeds}' if seeds else 'none'} ({len(method.runs)} runs)"
