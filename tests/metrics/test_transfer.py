import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from clrun.metrics import Undefined, bwt, forgetting_first, forgetting_max, fwt

R = [[0.9, 0.1, 0.0], [1.0, 0.8, 0.2], [0.5, 0.7, 1.0]]
B = [0.3, 0.2, 0.1]

squares = st.integers(2, 6).flatmap(lambda t: arrays(np.float64, (t, t), elements=st.floats(0, 1)))


@pytest.mark.parametrize(
    ("R", "expected"),
    [
        pytest.param(R, ((0.5 - 0.9) + (0.7 - 0.8)) / 2, id="forgetting is negative"),
        pytest.param([[0.4, 0.0], [0.9, 0.5]], 0.5, id="improvement is positive"),
        pytest.param(np.eye(3), -1.0, id="everything is forgotten"),
        pytest.param(np.tril(np.ones((3, 3))), 0.0, id="nothing is forgotten"),
    ],
)
def test_backward_transfer_is_the_mean_change_since_learning(R, expected):
    assert bwt(R) == pytest.approx(expected)


def test_forward_transfer_compares_the_row_before_with_the_untrained_model():
    assert fwt(R, B) == pytest.approx(((0.1 - 0.2) + (0.2 - 0.1)) / 2)


def test_forward_transfer_does_not_need_the_first_experience_untrained():
    assert fwt(R, [math.nan, 0.2, 0.1]) == fwt(R, B)


def test_forgetting_is_measured_from_the_best_accuracy_not_the_first():
    assert forgetting_max(R) == pytest.approx(((1.0 - 0.5) + (0.8 - 0.7)) / 2)
    assert forgetting_first(R) == pytest.approx(((0.9 - 0.5) + (0.8 - 0.7)) / 2)


def test_an_accuracy_before_learning_may_be_the_best():
    third = [[1.0, 0.9, 0.0], [1.0, 0.5, 0.0], [1.0, 0.3, 0.0]]

    assert forgetting_max(third) == pytest.approx(0.6 / 2)


def test_two_experiences_have_no_accuracy_before_learning_that_counts():
    known, unknown = [[1.0, 0.9], [0.5, 0.6]], [[1.0, None], [0.5, 0.6]]

    assert forgetting_max(known) == forgetting_max(unknown) == 0.5


@given(squares)
@settings(deadline=None, max_examples=50)
def test_forgetting_has_one_value_or_none_whatever_was_measured(R):
    """As eval=full and eval=seen measure the same model."""
    seen = np.where(np.tril(np.ones_like(R)) > 0, R, np.nan)

    if len(R) == 2:
        assert forgetting_max(seen) == forgetting_max(R)
    else:
        with pytest.raises(Undefined, match=r"experience 1 after experience 0 .* use eval=full"):
            forgetting_max(seen)


def test_an_improvement_since_the_best_makes_forgetting_negative():
    assert forgetting_max([[0.5, 0.0], [0.75, 1.0]]) == -0.25


@given(squares)
@settings(deadline=None, max_examples=100)
def test_forgetting_from_the_best_is_at_least_that_from_the_first(R):
    assert forgetting_max(R) >= forgetting_first(R)


@given(squares)
@settings(deadline=None, max_examples=100)
def test_backward_transfer_is_minus_forgetting_from_the_first(R):
    assert bwt(R) == -forgetting_first(R)


def test_no_forgetting_is_zero_and_not_minus_zero():
    assert math.copysign(1, forgetting_first(np.ones((2, 2)))) == 1


@given(squares, st.floats(0, 1))
@settings(deadline=None, max_examples=50)
def test_the_accuracy_on_the_last_experience_does_not_count_in_forgetting(R, other):
    changed = R.copy()
    changed[:, -1] = other

    assert bwt(changed) == bwt(R)
    assert forgetting_max(changed) == forgetting_max(R)


@given(squares)
@settings(deadline=None, max_examples=50)
def test_a_model_that_never_changes_transfers_nothing(R):
    still = np.repeat(R[:1], len(R), axis=0)

    assert fwt(still, R[0]) == bwt(still) == forgetting_max(still) == 0


@pytest.mark.parametrize("metric", [bwt, forgetting_max, forgetting_first, lambda R: fwt(R, [0.1])])
def test_one_experience_transfers_nothing_to_measure(metric):
    with pytest.raises(Undefined, match="at least 2 experiences"):
        metric([[0.9]])


@pytest.mark.parametrize(
    ("metric", "reason"),
    [
        (lambda: bwt([[0.9, 0.8]]), "1 evaluation of 2 experiences"),
        (lambda: bwt([[None, 0], [0.5, 1]]), "experience 0 after experience 0"),
        (lambda: fwt(R, None), "untrained model were not measured"),
        (lambda: fwt(R, [0.1, 0.1, None]), "untrained model on experience 2"),
        (lambda: fwt([[0.9, None], [0.5, 1]], [0.1, 0.1]), "experience 1 after experience 0"),
        (lambda: forgetting_max([[1, 0, 0], [None, 1, 0], [0, 0, 1]]), "0 after experience 1"),
    ],
)
def test_what_was_not_measured_is_undefined_and_says_why(metric, reason):
    with pytest.raises(Undefined, match=reason):
        metric()
