from __future__ import annotations

import pytest

from clrun.metrics import Reached, Undefined, at_equal_cost, best_within, common_budget

SLOW = [Reached(100, 0.2), Reached(200, 0.5), Reached(300, 0.9)]
QUICK = [Reached(10, 0.3), Reached(90, 0.6), Reached(250, 0.4)]


@pytest.mark.parametrize(
    ("budget", "expected"),
    [(99, None), (100, 0.2), (199.9, 0.2), (200, 0.5), (300, 0.9), (10**9, 0.9)],
)
def test_what_was_not_evaluated_within_a_budget_was_not_reached(budget, expected):
    if expected is None:
        with pytest.raises(Undefined, match="nothing was evaluated at a cost of at most 99"):
            best_within(budget, SLOW)
    else:
        assert best_within(budget, SLOW).value == expected


def test_the_best_counts_and_not_the_last():
    assert best_within(300, QUICK) == Reached(90, 0.6)


def test_of_equal_ones_the_cheapest_is_named():
    assert best_within(9, [Reached(8, 0.5), Reached(3, 0.5), Reached(5, 0.4)]) == Reached(3, 0.5)


def test_the_budget_is_what_all_have_spent():
    found = at_equal_cost({"slow": SLOW, "quick": QUICK})

    assert common_budget({"slow": SLOW, "quick": QUICK}) == 250
    assert found == {"slow": Reached(200, 0.5), "quick": Reached(90, 0.6)}


def test_runs_of_one_cost_each_are_compared_by_those_that_fit():
    sizes = {"latents": [Reached(4e6, 0.7)], "images": [Reached(1e6, 0.5), Reached(9e6, 0.8)]}

    assert at_equal_cost(sizes)["images"].value == 0.5


@pytest.mark.parametrize(
    ("methods", "reason"),
    [
        ({}, "there is nothing to compare"),
        ({"a": SLOW, "b": []}, "b: its cost is not known"),
        ({"a": SLOW, "b": [Reached(50, 0.1)]}, "nothing was evaluated at a cost of at most 50"),
    ],
)
def test_there_is_no_value_without_a_point_within_the_budget(methods, reason):
    with pytest.raises(Undefined, match=reason):
        at_equal_cost(methods)
