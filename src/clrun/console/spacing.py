"""Which of many columns or pictures are shown where there is no room for all."""

from __future__ import annotations


def evenly_spaced(count: int, most: int) -> list[int]:
    """All of `count` indices, or `most` evenly spaced ones with the first and the last."""
    if count <= most:
        return list(range(count))
    return [round(k * (count - 1) / (most - 1)) for k in range(most)]
