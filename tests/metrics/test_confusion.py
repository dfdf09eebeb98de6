import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, log_loss
from sklearn.metrics import confusion_matrix as sklearn_confusion

from clrun.metrics import (
    Undefined,
    acc_classes,
    class_accuracy_final,
    confusion_entries,
    confusion_matrix,
    ece,
    nll,
    old_as_new,
    recency_bias,
)

NAN = np.nan


def test_a_confusion_has_an_entry_for_each_pair_of_classes_that_there_is():
    entries = confusion_entries([0, 0, 2, 2, 2], [0, 1, 2, 2, 0], 3)

    assert entries.tolist() == [[0, 0, 1], [0, 1, 1], [2, 0, 1], [2, 2, 2]]
    assert confusion_matrix(entries, 3).tolist() == [[1, 1, 0], [0, 0, 0], [1, 0, 2]]


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=50))
@settings(deadline=None, max_examples=50)
def test_the_matrix_is_that_of_scikit_learn(pairs):
    true, predicted = [t for t, _ in pairs], [p for _, p in pairs]

    found = confusion_matrix(confusion_entries(true, predicted, 7), 7)

    assert found.sum() == len(pairs)
    if pairs:
        assert (found == sklearn_confusion(true, predicted, labels=range(7))).all()


def test_class_accuracies_are_those_after_the_last_experience():
    table = [[1.0, 0.0, NAN], [0.5, 0.75, NAN]]

    assert class_accuracy_final(table)[:2].tolist() == [0.5, 0.75]
    assert acc_classes(table) == 0.625


def test_mean_class_accuracy_is_balanced_accuracy():
    true, predicted = [0] * 8 + [1] * 2, [0] * 6 + [1] * 2 + [1, 0]

    assert acc_classes([[6 / 8, 1 / 2]]) == balanced_accuracy_score(true, predicted)


@pytest.mark.parametrize(
    ("predicted", "newest", "expected"),
    [
        pytest.param([0, 0, 1, 1], [1], 0.0, id="as often as there are"),
        pytest.param([1, 1, 1, 1], [1], 0.5, id="nothing but the newest"),
        pytest.param([0, 0, 0, 0], [1], -0.5, id="the newest never"),
        pytest.param([0, 1, 1, 1], [1, 1], 0.25, id="a class named twice"),
    ],
)
def test_recency_bias_is_what_the_newest_classes_are_predicted_beyond_their_share(
    predicted, newest, expected
):
    assert recency_bias(confusion_entries([0, 0, 1, 1], predicted, 2), newest) == expected


def test_a_class_that_returns_in_the_last_experience_is_one_of_the_newest():
    entries = confusion_entries([0, 1, 2], [0, 0, 0], 3)

    assert recency_bias(entries, [2]) == pytest.approx(-1 / 3)
    assert recency_bias(entries, [0, 2]) == pytest.approx(1 / 3)


def test_rows_of_other_classes_that_are_called_a_newest_one_are_a_share_of_theirs():
    # of four rows of 0 and 1 three are called 2 or 3, and one of 2 is called 0
    entries = confusion_entries([0, 0, 1, 1, 2, 2], [2, 3, 2, 1, 0, 2], 4)

    assert old_as_new(entries, [2, 3]) == 3 / 4
    assert old_as_new(entries, [3]) == 1 / 6


def test_calibration_error_is_the_gap_in_each_bin_by_its_rows():
    # bins of a half: two rows sure by 0.4, one right; two by 0.9 and 1.0, both right
    found = ece([0.4, 0.4, 0.9, 1.0], [True, False, True, True], bins=2)

    assert found == pytest.approx(2 / 4 * abs(0.5 - 0.4) + 2 / 4 * abs(1.0 - 0.95))


def test_a_bin_is_open_below_and_closed_above():
    assert ece([0.5, 0.6], [True, False], bins=2) == pytest.approx((0.5 + 0.6) / 2)
    assert ece([0.5, 0.4], [True, False], bins=2) == pytest.approx(abs(0.5 - 0.45))


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60))
@settings(deadline=None, max_examples=60)
def test_calibration_error_is_at_least_the_gap_of_the_means_and_at_most_1(rows):
    sure, right = np.array([s for s, _ in rows]), np.array([r for _, r in rows])

    assert abs(sure.mean() - right.mean()) - 1e-12 <= ece(sure, right) <= 1 + 1e-12


def test_negative_log_likelihood_is_the_mean_surprise_at_the_true_class():
    probabilities = np.array([[0.5, 0.5], [0.1, 0.9]])

    found = nll(np.log([0.5, 0.9]))

    assert found == pytest.approx((math.log(2) - math.log(0.9)) / 2)
    assert found == pytest.approx(log_loss([0, 1], probabilities))


def test_what_is_certain_and_right_has_a_likelihood_of_0_without_a_sign():
    assert str(nll([0.0, 0.0])) == "0.0"


@pytest.mark.parametrize(
    ("metric", "reason"),
    [
        (lambda: acc_classes([]), "no class was evaluated"),
        (lambda: acc_classes([[0.5, 0.5], [NAN, NAN]]), "no class was evaluated"),
        (lambda: ece([], []), "no test rows"),
        (lambda: ece([NAN], [True]), "a probability is NaN"),
        (lambda: nll([]), "no test rows"),
        (lambda: nll([-math.inf, -1]), "probability 0"),
        (lambda: nll([NAN]), "or none at all"),
        (lambda: recency_bias([], [0]), "no test rows"),
        (lambda: recency_bias([[0, 0, 3]], [0]), "every test row is of a class of the last"),
        (lambda: old_as_new([[0, 0, 3]], [0]), "every test row is of a class of the last"),
    ],
)
def test_what_cannot_be_said_is_undefined_and_says_why(metric, reason):
    with pytest.raises(Undefined, match=reason):
        metric()
