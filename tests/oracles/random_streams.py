"""Random accuracies of whole streams, the same in every environment: of Python alone."""

from __future__ import annotations

import random
from typing import NamedTuple

ROWS = 100
"""Test rows of each experience."""


class RandomStream(NamedTuple):
    """How many of `ROWS` rows were right, in each evaluation of each experience."""

    untrained: list[int]
    learnt: list[list[int]]
    """row i: after learning experience i"""


def random_stream(seed: int) -> RandomStream:
    """A stream of two to eleven experiences."""
    rng = random.Random(seed)
    count = rng.randrange(2, 12)
    untrained, *learnt = [[rng.randrange(ROWS + 1) for _ in range(count)] for _ in range(count + 1)]
    return RandomStream(untrained, learnt)
