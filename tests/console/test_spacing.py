from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clrun.console.spacing import evenly_spaced


@pytest.mark.parametrize(
    ("count", "most", "chosen"),
    [(1, 3, [0]), (3, 3, [0, 1, 2]), (4, 3, [0, 2, 3]), (391, 4, [0, 130, 260, 390])],
)
def test_many_are_represented_by_evenly_spaced_ones(count, most, chosen):
    assert evenly_spaced(count, most) == chosen


@given(st.integers(0, 1000), st.integers(2, 40))
@settings(deadline=None, max_examples=100)
def test_chosen_ones_are_in_order_and_contain_the_first_and_the_last(count, most):
    chosen = evenly_spaced(count, most)

    assert len(chosen) == min(count, most)
    assert chosen == sorted(set(chosen))
    assert count == 0 or (chosen[0], chosen[-1]) == (0, count - 1)
    gaps = [b - a for a, b in pairwise(chosen)]
    assert not gaps or max(gaps) - min(gaps) <= 1
