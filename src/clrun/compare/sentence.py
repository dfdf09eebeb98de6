"""What several comparisons come to, in one plain sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from clrun.metrics.paired import how_sure, shown_p, size_of, way_on

if TYPE_CHECKING:
    from clrun.compare.judged import Duel

MOST_NAMED = 3
"""More methods than this are counted, not named."""


def sentence_of_all(best: str, duels: Sequence[Duel], *, of: str) -> str:
    """What is said of the method with the best mean, against all others."""
    own = [duel for duel in duels if best in (duel.a, duel.b)]
    beaten = [duel for duel in own if duel.winner == best]
    open_ones = [duel for duel in own if duel.winner is None]
    above = [duel.other(best) for duel in own if duel.winner not in (None, best)]
    if not own:
        return f"Cannot tell which method is best in {of}: {best} shares no seed with the others."
    if above:  # a mean over other seeds than those that are shared
        return (
            f"Cannot tell which method is best in {of}: {best} has the best mean, and is worse "
            f"than {listed(above)} on the seeds that they share."
        )
    if not open_ones:
        nearest = _nearest(beaten)
        return (
            f"{best} is better than all {len(beaten)} others; against the nearest, "
            f"{nearest.other(best)}, {size_of(nearest.comparison, of=of)}."
        )
    nearest = _nearest(open_ones)
    others = listed([duel.other(best) for duel in open_ones])
    rest = f"; {best} is better than {listed([d.other(best) for d in beaten])}" if beaten else ""
    found = (
        f"{best} is ahead of {nearest.other(best)} by {abs(nearest.comparison.mean):.4f} in {of} "
        f"({how_sure(nearest.comparison)})"
    )
    return f"Cannot tell {best} from {others}: {found}; {way_on(nearest.comparison)}{rest}."


def _nearest(duels: Sequence[Duel]) -> Duel:
    return min(duels, key=lambda duel: abs(duel.comparison.mean))


def sentence_against(baseline: str, duels: Sequence[Duel], *, of: str) -> str:
    """What is said of each method against one."""
    better = [_sized(d, baseline) for d in duels if d.winner not in (None, baseline)]
    worse = [_sized(d, baseline) for d in duels if d.winner == baseline]
    open_ones = [
        f"{duel.other(baseline)} ({way_on(duel.comparison)})"
        for duel in duels
        if duel.winner is None
    ]
    parts = [
        *([f"{listed(better)} {_is(better)} better"] if better else []),
        *([f"{listed(worse)} {_is(worse)} worse"] if worse else []),
        *([f"{listed(open_ones)} cannot be told from it"] if open_ones else []),
    ]
    return f"Against {baseline} in {of}: {'; '.join(parts)}."


def listed(names: Sequence[str]) -> str:
    """Names in a sentence: "a, b and c", of many the first and how many more."""
    shown = list(names[:MOST_NAMED])
    if len(names) > MOST_NAMED:
        shown.append(f"{len(names) - MOST_NAMED} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def _sized(duel: Duel, baseline: str) -> str:
    p = shown_p(duel.comparison.p_holm)
    return f"{duel.other(baseline)} (by {abs(duel.comparison.mean):.4f}, {p})"


def _is(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"
