"""The section of what accuracy costs: a Pareto front of points or methods for each cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

from clrun.metrics.pareto import front
from clrun.records.costs import COSTS
from clrun.report import numbers
from clrun.report.environment import fragment
from clrun.report.page import Section
from clrun.report.scatter import Scatter, Spot

FAR = 20.0
"""Costs that are so many times one another stand in powers of ten."""
KINDS: dict[str, Literal["count", "seconds", "bytes"]] = {
    "bytes": "bytes",
    "kept": "bytes",
    "seconds": "seconds",
}
WRITTEN = {
    "bytes": numbers.size,
    "kept": numbers.size,
    "macs": numbers.short,
    "seconds": numbers.seconds,
}
NOTES = {
    "bytes": "What is kept of past data from one experience to the next, in the end.",
    "kept": "Rows, parameters and statistics.",
    "macs": "Of all updates, with replayed rows; the forward passes of evaluation are not in it.",
    "seconds": "Of all phases of a run, on the machine as it was: what else ran there is in it.",
}


class Priced(Protocol):
    """A point of a sweep or a method."""

    @property
    def name(self) -> str: ...
    @property
    def values(self) -> Mapping[str, str]: ...
    @property
    def mean(self) -> float: ...
    @property
    def half(self) -> float | None: ...
    @property
    def count(self) -> int: ...
    def cost(self, key: str) -> float | None: ...


def fronts_section(found: Sequence[Priced], keys: Mapping[str, str], label: str) -> Section | None:
    """The section, of what has a number called so; `keys` are short names of what differs. None
    where no two have one."""
    if len(found) < 2:
        return None
    html = fragment("sweep_fronts.html", fronts=[_front(found, k, keys, label) for k in COSTS])
    return Section("fronts", "Accuracy and cost", html)


def _front(
    found: Sequence[Priced], key: str, keys: Mapping[str, str], label: str
) -> dict[str, Any]:
    """A drawing with the table of its front, or why there is none."""
    known = [(each, cost) for each in found if (cost := each.cost(key)) is not None]
    kind, left_out = COSTS[key], len(found) - len(known)
    missing = f"{left_out} of {len(found)} do not say it." if left_out else ""
    if len({each for _, each in known}) < 2:
        only = f"all have {WRITTEN[key](known[0][1])}. {missing}" if known else "no run says it."
        return {"label": kind.label, "chart": None, "why": only.strip()}
    best = front([cost for _, cost in known], [each.mean for each, _ in known])
    marks = {place: str(number) for number, place in enumerate(best, 1)}
    spots = [_spot(p, c, key, marks.get(at)) for at, (p, c) in enumerate(known)]
    costs = [each for _, each in known]
    chart = Scatter(
        id=f"front-{key}",
        title=f"{label[0].upper()}{label[1:]} against {kind.label}",
        summary=f"{len(best)} of {len(known)} are on the front: no other is both cheaper "
        "and better.",
        spots=spots,
        x_label=kind.label,
        y_label=label,
        x_kind=KINDS.get(key, "count"),
        is_log=min(costs) > 0 and max(costs) > FAR * min(costs),
        note=f"{NOTES[key]} {missing}".strip(),
    )
    rows = [(marks[at], known[at][0], WRITTEN[key](known[at][1])) for at in best]
    return {"label": kind.label, "chart": chart, "rows": rows, "keys": keys, "metric": label}


def _spot(found: Priced, cost: float, key: str, mark: str | None) -> Spot:
    return Spot(
        name=f"{found.name}: {numbers.decimal(found.mean, 4)}, {WRITTEN[key](cost)}",
        x=cost,
        y=found.mean,
        low=None if found.half is None else found.mean - found.half,
        high=None if found.half is None else found.mean + found.half,
        label=mark or "",
        is_front=mark is not None,
    )
