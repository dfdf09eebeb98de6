"""Which of several methods none beats in both what it costs and how good it is."""

from __future__ import annotations

from collections.abc import Sequence


def front(costs: Sequence[float], values: Sequence[float]) -> list[int]:
    """The places on the Pareto front, the cheapest first: lower costs and higher values are better.

    A method is left out where another costs no more and is no worse, and differs in one of them; of
    equals in both all stay.
    """
    order = sorted(range(len(costs)), key=lambda place: (costs[place], -values[place]))
    found: list[int] = []
    for place in order:
        if (
            not found
            or values[place] > values[found[-1]]
            or _are_equal(place, found[-1], costs, values)
        ):
            found.append(place)
    return found


def _are_equal(a: int, b: int, costs: Sequence[float], values: Sequence[float]) -> bool:
    return costs[a] == costs[b] and values[a] == values[b]
