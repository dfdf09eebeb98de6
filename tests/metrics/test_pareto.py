"""The front of what is cheap and good, by hand and against its definition."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clrun.metrics.pareto import front


@pytest.mark.parametrize(
    ("costs", "values", "expected"),
    [
        ([], [], []),
        ([5.0], [0.1], [0]),
        ([1, 2, 3], [0.1, 0.5, 0.4], [0, 1]),  # the third costs more than the second and is worse
        ([3, 1, 2], [0.9, 0.9, 0.9], [1]),  # equally good: the cheapest alone
        ([2, 2, 2], [0.3, 0.7, 0.7], [1, 2]),  # equal in both: both stay
    ],
)
def test_by_hand(costs: list[float], values: list[float], expected: list[int]) -> None:
    assert front(costs, values) == expected


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12))
def test_a_point_is_on_it_exactly_where_no_other_beats_it(points: list[tuple[int, int]]) -> None:
    def beats(a: tuple[int, int], b: tuple[int, int]) -> bool:
        return a[0] <= b[0] and a[1] >= b[1] and a != b

    expected = {k for k, p in enumerate(points) if not any(beats(other, p) for other in points)}

    assert set(front([c for c, _ in points], [v for _, v in points])) == expected
