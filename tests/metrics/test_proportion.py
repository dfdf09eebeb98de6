"""Intervals of accuracies over test rows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clrun.metrics.proportion import weighted, wilson


@pytest.mark.parametrize(
    ("hits", "rows", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998, Statistics in Medicine 17:857, table I
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_interval_of_a_share_is_that_of_the_paper(hits, rows, low, high):
    assert wilson(hits / rows, rows) == pytest.approx((low, high), abs=5e-5)


def test_the_interval_of_a_difference_is_newcombes():
    # 56/70 less 48/80: Newcombe 1998, Statistics in Medicine 17:873, table II, method 10
    found = weighted([56 / 70, 48 / 80], [70, 80], [1, -1])

    assert found == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_a_mean_of_experiences_is_surer_than_each_of_them():
    one = wilson(0.8, 100)

    low, high = weighted([0.8] * 4, [100] * 4, [0.25] * 4)

    assert high - low == pytest.approx((one[1] - one[0]) / 2)


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_an_interval_has_a_width_and_the_share_in_it(counts):
    hits, rows = counts

    low, high = wilson(hits / rows, rows)

    assert 0 <= low <= hits / rows <= high <= 1
    assert low < high
    assert weighted([hits / rows], [rows], [1.0]) == pytest.approx((low, high))
