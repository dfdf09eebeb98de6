import pytest

from clrun.metrics import Undefined, intransigence, relative_forgetting

R = [[0.9, 0.1, 0.0], [0.6, 0.8, 0.2], [0.5, 0.7, 1.0]]
NAIVE = [[0.9, 0.0, 0.0], [0.1, 0.9, 0.0], [0.1, 0.2, 0.9]]


def test_intransigence_is_what_a_joint_run_has_over_learning_in_turn():
    assert intransigence(R, [[0.95, 0.9, 0.85]]) == pytest.approx((0.05 + 0.1 - 0.15) / 3)


def test_a_cumulative_run_is_compared_after_the_same_experience():
    cumulative = [[1.0, 0.0, 0.0], [0.5, 0.9, 0.0], [0.5, 0.5, 1.0]]

    assert intransigence(R, cumulative) == pytest.approx((0.1 + 0.1 + 0.0) / 3)


def test_one_experience_has_an_intransigence():
    assert intransigence([[0.9]], [[1.0]]) == pytest.approx(0.1)


def test_relative_forgetting_is_the_share_of_a_naive_run_s():
    own = ((0.9 - 0.5) + (0.8 - 0.7)) / 2
    naive = ((0.9 - 0.1) + (0.9 - 0.2)) / 2

    assert relative_forgetting(R, NAIVE) == pytest.approx(own / naive)
    assert relative_forgetting(NAIVE, NAIVE) == pytest.approx(1)


@pytest.mark.parametrize(
    ("metric", "reason"),
    [
        (lambda: intransigence(R, None), "needs a joint run"),
        (lambda: intransigence(R, [[0.9, 0.8]]), "has 2 experiences, this one 3"),
        (lambda: intransigence(R, [[0.9] * 3] * 2), "did not finish"),
        (lambda: intransigence([[0.9, 0.8]], [[0.9, 0.8]]), "1 evaluation of 2 experiences"),
        (lambda: relative_forgetting(R, None), "needs a naive run"),
        (lambda: relative_forgetting(R, NAIVE[:2]), "of the naive run: needs the accuracies"),
        (lambda: relative_forgetting(R, [[0.5, 0], [0.5, 1]]), "has 2 experiences, this one 3"),
        (lambda: relative_forgetting(R, [[0.5] * 3] * 3), "the naive run forgets nothing"),
        (lambda: relative_forgetting([[0.9]], [[0.9]]), "at least 2 experiences"),
    ],
)
def test_without_a_run_to_compare_with_it_is_undefined_and_says_why(metric, reason):
    with pytest.raises(Undefined, match=reason):
        metric()
