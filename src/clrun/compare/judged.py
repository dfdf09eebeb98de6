"""The verdict over numbers: which method is better, by how much, and how sure that is.

Everything that a comparison says follows from here, whether the numbers are of folders or made up.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean
from typing import Literal

from clrun.compare.sentence import sentence_against, sentence_of_all
from clrun.metrics.paired import Comparison, Pairs, compared, pairs, verdict, with_holm

Better = Literal["higher", "lower"]
Scores = Mapping[Hashable, float]
"""What makes two runs a pair -> the value of a run."""


@dataclass(frozen=True, kw_only=True)
class Duel:
    """Two methods side by side."""

    a: str
    b: str
    pairs: Pairs
    comparison: Comparison
    """of A - B; its `p_holm` is held to its level over all duels of the comparison"""
    sentence: str
    """what it says, alone"""

    @property
    def winner(self) -> str | None:
        """The better one; None where that is not shown."""
        if not self.comparison.is_shown:
            return None
        return self.leader

    @property
    def leader(self) -> str:
        """The one that is ahead, shown or not; A where neither is."""
        ahead = (self.comparison.mean > 0) == (self.comparison.better == "higher")
        return self.a if ahead or not self.comparison.mean else self.b

    def other(self, name: str) -> str:
        """The one that is not called so."""
        return self.b if name == self.a else self.a


@dataclass(frozen=True, kw_only=True)
class Judged:
    """All duels of a comparison and the one sentence that they come to."""

    duels: tuple[Duel, ...]
    verdict: str


def judged(
    scores: Mapping[str, Scores],
    *,
    better: Better = "higher",
    of: str = "final accuracy",
    baseline: str | None = None,
) -> Judged:
    """Compare methods by the values of the pairs that they share; at least two, each with a pair.

    With a baseline each other method is compared with it, else all are compared with one another;
    over all of these comparisons the chance of a false alarm stays at the level (Holm). `of` is the
    name of what is compared.
    """
    names = [(a, b) for a, b in _names(list(scores), baseline)]
    found = [pairs(scores[a], scores[b]) for a, b in names]
    shared = [place for place, pair in enumerate(found) if pair.keys]
    alone = [compared(found[p].a, found[p].b, better=better) for p in shared]
    duels = tuple(
        Duel(
            a=names[place][0],
            b=names[place][1],
            pairs=found[place],
            comparison=comparison,
            sentence=verdict(*names[place], comparison, of=of),
        )
        for place, comparison in zip(shared, with_holm(alone), strict=True)
    )
    assert duels, "nothing to compare"
    if len(duels) == 1:
        return Judged(duels=duels, verdict=duels[0].sentence)
    if baseline is not None:
        return Judged(duels=duels, verdict=sentence_against(baseline, duels, of=of))
    return Judged(duels=duels, verdict=sentence_of_all(_best(scores, better), duels, of=of))


def _names(methods: list[str], baseline: str | None) -> list[tuple[str, str]]:
    """Who is compared with whom."""
    if baseline is None:
        return list(combinations(methods, 2))
    return [(method, baseline) for method in methods if method != baseline]


def _best(scores: Mapping[str, Scores], better: Better) -> str:
    """The method with the best mean, the first of several."""
    sign = 1.0 if better == "higher" else -1.0
    known = [name for name in scores if scores[name]]
    return max(known, key=lambda name: sign * fmean(scores[name].values()))
