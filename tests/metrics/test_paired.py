from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from clrun.metrics.paired import (
    DRAWS,
    Comparison,
    compared,
    fewest_pairs,
    holm,
    interval,
    pairs,
    seeds_needed,
    sign_flip_p,
    verdict,
    with_holm,
)

A = [0.9, 0.8, 0.7, 0.9, 0.8, 0.9, 0.7, 0.8]
B = [0.7, 0.7, 0.6, 0.6, 0.7, 0.7, 0.6, 0.7]

values = st.floats(-1, 1).map(lambda value: round(value, 3))


def against_zero(differences: list[float], **changed: str) -> Comparison:
    return compared(differences, np.zeros(len(differences)), **changed)


def test_runs_are_paired_by_seed_and_class_order_whatever_their_order():
    a = {(0, "fixed"): 0.9, (1, "fixed"): 0.8, (2, "fixed"): 0.7, (3, "fixed"): None}
    b = {(2, "fixed"): 0.6, (0, "fixed"): 0.5, (0, "shuffled"): 0.1, (3, "fixed"): 0.4}

    found = pairs(a, b)

    assert found.keys == ((0, "fixed"), (2, "fixed"))
    assert (found.a.tolist(), found.b.tolist()) == ([0.9, 0.7], [0.5, 0.6])
    assert found.only_a == ((1, "fixed"),)
    assert found.only_b == ((0, "shuffled"), (3, "fixed"))


def test_a_value_that_is_no_finite_number_has_no_partner():
    found = pairs({0: float("nan"), 1: 0.5, 2: 0.5}, {0: 0.1, 1: float("inf"), 2: 0.2})

    assert (found.keys, found.only_a, found.only_b) == ((2,), (1,), (0,))


def test_a_comparison_is_of_the_differences():
    found = compared(A, B)

    differences = np.subtract(A, B)
    test = stats.ttest_rel(A, B)
    low, high = test.confidence_interval(0.95)
    assert (found.n, found.mean) == (8, pytest.approx(differences.mean()))
    assert found.sd == pytest.approx(differences.std(ddof=1))
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert found.effect == pytest.approx(differences.mean() / differences.std(ddof=1))
    assert found.superiority == 1
    assert found.p == found.p_holm == 2 / 2**8
    assert found.exact
    assert found.is_shown


def test_one_pair_has_a_difference_and_nothing_that_says_how_sure_it_is():
    found = compared([0.9], [0.8])

    assert (found.sd, found.low, found.high, found.effect, found.p) == (None,) * 4 + (1.0,)
    assert not found.is_shown


def test_a_tie_is_half_a_win_and_lower_may_be_better():
    assert against_zero([1.0, 0.0, -1.0, 2.0]).superiority == 0.625
    assert against_zero([1.0, 0.0, -1.0, 2.0], better="lower").superiority == 0.375


@given(st.lists(values, min_size=1, max_size=10))
@settings(deadline=None, max_examples=80)
def test_an_exact_p_value_is_that_of_every_way_to_flip_signs(differences):
    sums = [
        sum(sign * value for sign, value in zip(signs, differences, strict=True))
        for signs in itertools.product([1, -1], repeat=len(differences))
    ]
    as_far = [abs(total) >= abs(sum(differences)) - 1e-9 for total in sums]

    assert sign_flip_p(differences) == sum(as_far) / len(as_far)


@pytest.mark.parametrize("n", range(2, 11))
def test_an_exact_p_value_is_that_of_scipy(n):
    differences = np.random.default_rng(n).normal(0.5, 1, n)

    test = stats.permutation_test(
        (differences, np.zeros(n)),
        lambda a, b, axis: (a - b).mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=np.inf,
    )

    assert sign_flip_p(differences) == pytest.approx(test.pvalue, abs=1e-12)


def test_many_comparisons_at_once_have_the_p_value_of_each():
    differences = np.random.default_rng(0).normal(size=(3, 4, 6))

    found = sign_flip_p(differences)

    assert found.shape == (3, 4)
    assert found[1, 2] == sign_flip_p(differences[1, 2])


def test_of_more_pairs_ways_are_drawn_always_the_same_and_p_is_never_0():
    normal = np.random.default_rng(3).normal(0.4, 1, 25)

    found = against_zero(normal.tolist())

    assert not found.exact
    assert found.p == against_zero(normal.tolist()).p
    assert found.p == pytest.approx(stats.ttest_1samp(normal, 0).pvalue, rel=0.15)
    assert sign_flip_p(np.ones(25)) == 1 / (DRAWS + 1)


def test_holm_is_worked_out_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.5]) == [1.0, 1.0]
    assert holm([]) == []


def test_a_difference_may_be_shown_alone_and_not_among_several():
    one = against_zero([0.1, 0.2, 0.1, 0.2, 0.3, 0.1])  # p = 2/64

    assert one.is_shown
    assert [c.p_holm for c in with_holm([one, one])] == [0.0625] * 2
    assert not with_holm([one, one])[0].is_shown


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
@settings(deadline=None, max_examples=50)
def test_holm_raises_no_p_value_above_bonferroni_and_lowers_none(p_values):
    adjusted = holm(p_values)

    for p, held in zip(p_values, adjusted, strict=True):
        assert p <= held <= min(1.0, len(p_values) * p) + 1e-12


def test_intervals_cover_the_true_difference_and_false_alarms_are_as_rare_as_they_say():
    """2,000 comparisons of ten seeds, of methods whose difference is known."""
    generator = np.random.default_rng(14)
    difference = generator.normal(0.03, 0.05, (2000, 10))

    low, high = interval(difference)
    covered = ((low <= 0.03) & (high >= 0.03)).mean()
    alarms = (sign_flip_p(difference - 0.03) < 0.05).mean()

    assert 0.93 <= covered <= 0.97
    assert 0.035 <= alarms <= 0.065


def test_as_many_seeds_as_are_said_to_settle_it_settle_it():
    """A difference of the size found is shown by that many seeds about four times in five."""
    first = against_zero([0.1, -0.1, 0.2, 0.0, 0.15, -0.05])
    assert not first.is_shown
    needed = seeds_needed(first)
    generator = np.random.default_rng(0)
    again = generator.normal(first.mean, first.sd, (2000, needed))

    shown = (sign_flip_p(again[:300]) < 0.05).mean()

    assert 0.7 <= shown <= 0.9


def test_no_number_of_seeds_shows_what_is_not_there():
    assert seeds_needed(against_zero([1.0, -1.0])) is None
    assert seeds_needed(against_zero([1.0, -1.0, 1.001, -1.0])) is None
    assert seeds_needed(against_zero([0.1, 0.1])) == fewest_pairs() == 6


@pytest.mark.parametrize("comparisons", [1, 2, 3, 10])
def test_fewer_pairs_than_the_fewest_show_nothing_however_large_it_is(comparisons):
    n = fewest_pairs(comparisons)

    assert 2 / 2**n * comparisons < 0.05
    assert 2 / 2 ** (n - 1) * comparisons >= 0.05


def test_among_several_comparisons_more_seeds_are_needed():
    one = against_zero([0.1, -0.1, 0.2, 0.0, 0.15, -0.05])

    alone, among = seeds_needed(one), seeds_needed(with_holm([one] * 3)[0])

    assert alone is not None
    assert among is not None
    assert alone < among


@pytest.mark.parametrize(
    ("a", "b", "better", "expected"),
    [
        pytest.param(
            A,
            B,
            "higher",
            "herding is better than random: final accuracy differs by 0.1500 "
            "(95 % interval 0.0868 to 0.2132; p = 0.0078, n = 8).",
            id="shown",
        ),
        pytest.param(
            B,
            A,
            "higher",
            "random is better than herding: final accuracy differs by 0.1500 "
            "(95 % interval 0.0868 to 0.2132; p = 0.0078, n = 8).",
            id="the other way round",
        ),
        pytest.param(
            B,
            A,
            "lower",
            "herding is better than random: final accuracy differs by 0.1500 "
            "(95 % interval 0.0868 to 0.2132; p = 0.0078, n = 8).",
            id="lower is better",
        ),
        pytest.param(
            [0.9, 0.8],
            [0.8, 0.7],
            "higher",
            "Cannot tell herding from random: herding is ahead by 0.1000 in final accuracy "
            "(p = 0.5, n = 2); about 4 more seeds would settle it.",
            id="too few",
        ),
        pytest.param(
            [0.9],
            [0.8],
            "higher",
            "Cannot tell herding from random: herding is ahead by 0.1000 in final accuracy "
            "(p = 1, n = 1); about 5 more seeds would settle it.",
            id="one",
        ),
        pytest.param(
            [0.5, 0.6, 0.5, 0.6],
            [0.6, 0.5, 0.6, 0.5],
            "higher",
            "Cannot tell herding from random: no difference in final accuracy was found "
            "(p = 1, n = 4); no reasonable number of seeds would: it is at most 0.1837 either way.",
            id="nothing there",
        ),
        pytest.param(
            [0.5, 0.6],
            [0.5, 0.6],
            "higher",
            "herding and random have the same final accuracy on all 2 seeds.",
            id="the same",
        ),
    ],
)
def test_the_verdict_is_one_plain_sentence(a, b, better, expected):
    found = verdict("herding", "random", compared(a, b, better=better), of="final accuracy")

    assert found == expected


def test_scipy_and_torch_are_not_imported_before_they_are_needed():
    program = (
        "import sys, clrun.metrics.paired as p; "
        "assert 'scipy' not in sys.modules; p.compared([1.0, 0.5], [0.5, 0.7]); "
        "assert 'torch' not in sys.modules"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
