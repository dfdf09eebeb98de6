"""Round numbers for an axis."""

from __future__ import annotations

import math
from collections.abc import Sequence

NICE = (1.0, 2.0, 2.5, 5.0, 10.0)


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Up to so many round numbers in [low, high], evenly apart; whole ones where that is enough."""
    if not low < high:
        return [low]
    rough = (high - low) / max(most - 1, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    for nice in NICE:
        apart = nice * power
        first = math.ceil(low / apart - 1e-9)
        last = math.floor(high / apart + 1e-9)
        if last - first + 1 <= most:
            return [number * apart for number in range(first, last + 1)]
    return [low, high]


def decimals(found: Sequence[float], least: int = 1) -> int:
    """As many as it takes to write these numbers without rounding, up to six."""
    for digits in range(least, 6):
        if all(abs(number - round(number, digits)) < 1e-9 for number in found):
            return digits
    return 6


def powers(low: float, high: float) -> list[float]:
    """The powers of ten around [low, high], both above 0; with 2 and 5 where they are few."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    steps = (1, 2, 5) if last - first <= 2 else (1,)
    found = [step * 10.0**power for power in range(first, last + 1) for step in steps]
    inside = [number for number in found if low * (1 - 1e-9) <= number <= high * (1 + 1e-9)]
    return inside or [low, high]


def whole(low: int, high: int, most: int = 11) -> list[float]:
    """Whole numbers from the first to the last, which are both there."""
    apart = 1
    while (high - low) / apart + 1 > most:
        apart = {1: 2, 2: 5, 5: 10}.get(apart, apart * 2)
    found = [float(number) for number in range(low, high + 1) if (number - low) % apart == 0]
    if found[-1] != high:
        found = [number for number in found if high - number >= apart / 2] + [float(high)]
    return found
