import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clrun.metrics import Undefined, aaa, acc_final, aia, min_acc, wc_acc

EVALUATIONS = [
    (0, [0.1, 0.0, 0.0]),
    (0, [0.8, 0.0, 0.0]),
    (1, [0.2, 0.6, 0.0]),
    (1, [0.7, 0.9, 0.0]),
    (2, [0.5, 0.3, 0.4]),
    (2, [0.6, 0.5, 1.0]),
]


def test_anytime_accuracy_averages_over_experiences_begun_then_over_evaluations():
    points = [0.1, 0.8, (0.2 + 0.6) / 2, (0.7 + 0.9) / 2, (0.5 + 0.3 + 0.4) / 3, 2.1 / 3]

    assert aaa(EVALUATIONS) == pytest.approx(np.mean(points))


def test_anytime_accuracy_does_not_need_experiences_that_have_not_begun():
    assert aaa([(0, [0.4, None]), (1, [0.2, 0.6])]) == pytest.approx(0.4)


@given(st.floats(0, 1), st.lists(st.integers(0, 4), min_size=1, max_size=20))
@settings(deadline=None, max_examples=50)
def test_anytime_accuracy_of_a_constant_stream_is_the_constant(constant, experiences):
    evaluations = [(i, np.full(5, constant)) for i in sorted(experiences)]

    assert aaa(evaluations) == pytest.approx(constant)


@given(st.integers(1, 5), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=50)
def test_evaluated_only_at_boundaries_anytime_accuracy_is_incremental_accuracy(t, random):
    R = np.array([[random.random() for _ in range(t)] for _ in range(t)])

    assert aaa(list(enumerate(R))) == pytest.approx(aia(R))


def test_minimum_accuracy_is_the_worst_after_each_experience_was_learned():
    lowest_0 = 0.2  # not 0.1, which was while it was being learned
    lowest_1 = 0.3

    assert min_acc(EVALUATIONS) == pytest.approx((lowest_0 + lowest_1) / 2)


def test_worst_case_accuracy_joins_the_newest_experience_and_the_minimum():
    assert wc_acc(EVALUATIONS) == pytest.approx(1.0 / 3 + 2 / 3 * 0.25)


@given(st.integers(2, 4), st.integers(1, 3), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=50)
def test_at_a_boundary_the_worst_case_is_at_most_the_final_accuracy(t, cadence, random):
    evaluations = [
        (i, [random.random() for _ in range(t)]) for i in range(t) for _ in range(cadence)
    ]

    assert wc_acc(evaluations) <= acc_final([evaluations[-1][1]]) + 1e-12


@pytest.mark.parametrize(
    ("metric", "evaluations", "reason"),
    [
        (aaa, [], "nothing was evaluated"),
        (min_acc, [], "nothing was evaluated"),
        (min_acc, [(0, [0.5, 0.1])], "at least 2 experiences"),
        (wc_acc, [(0, [0.5, 0.1])], "at least 2 experiences"),
        (aaa, [(1, [0.5, None])], "experience 1 was not measured during experience 1"),
    ],
)
def test_what_was_not_measured_is_undefined_and_says_why(metric, evaluations, reason):
    with pytest.raises(Undefined, match=reason):
        metric(evaluations)
