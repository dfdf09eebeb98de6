import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from clrun.metrics import Undefined, acc_final, acc_pooled, aia, learning_accuracy

R = [[0.9, 0.1, 0.0], [0.6, 0.8, 0.2], [0.5, 0.7, 1.0]]
JOINT = [[0.9, 0.8, 0.7]]

rates = st.floats(0, 1)
squares = st.integers(1, 6).flatmap(lambda t: arrays(np.float64, (t, t), elements=rates))


def test_final_accuracy_is_the_mean_of_the_last_row():
    assert acc_final(R) == pytest.approx((0.5 + 0.7 + 1.0) / 3)


def test_final_accuracy_of_joint_training_is_the_mean_of_its_only_row():
    assert acc_final(JOINT) == pytest.approx(0.8)


def test_incremental_accuracy_averages_each_row_up_to_its_diagonal():
    assert aia(R) == pytest.approx((0.9 + (0.6 + 0.8) / 2 + (0.5 + 0.7 + 1.0) / 3) / 3)


def test_incremental_accuracy_does_not_need_accuracies_on_future_experiences():
    lower = [[0.9, None, None], [0.6, 0.8, None], [0.5, 0.7, 1.0]]

    assert aia(lower) == pytest.approx(aia(R))


def test_learning_accuracy_is_the_mean_of_the_diagonal():
    assert learning_accuracy(R) == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("sizes", "pooled"),
    [
        pytest.param([10, 10, 10], 2.2 / 3, id="equal sizes give the mean"),
        pytest.param([1, 1, 2], (0.5 + 0.7 + 2.0) / 4, id="each pattern counts once"),
        pytest.param([1, 1, 0], 0.6, id="an empty test set counts nothing"),
    ],
)
def test_pooled_accuracy_weighs_experiences_by_their_patterns(sizes, pooled):
    assert acc_pooled(R, sizes) == pytest.approx(pooled)


def test_an_empty_test_set_needs_no_accuracy():
    assert acc_pooled([[0.5, np.nan]], [4, 0]) == 0.5


@given(squares, st.data())
@settings(deadline=None, max_examples=50)
def test_pooled_accuracy_lies_between_the_worst_and_the_best_experience(R, data):
    sizes = data.draw(st.lists(st.integers(1, 1000), min_size=len(R), max_size=len(R)))

    pooled = acc_pooled(R, sizes)

    assert R[-1].min() - 1e-12 <= pooled <= R[-1].max() + 1e-12


@given(squares, st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=50)
def test_final_accuracy_does_not_depend_on_the_order_of_columns(R, random):
    order = random.sample(range(len(R)), len(R))

    assert acc_final(R[:, order]) == pytest.approx(acc_final(R))


@given(squares, rates)
@settings(deadline=None, max_examples=50)
def test_accuracies_on_the_future_change_neither_aia_nor_learning_accuracy(R, future):
    changed = np.where(np.triu(np.ones_like(R), 1) > 0, future, R)

    assert (aia(changed), learning_accuracy(changed)) == (aia(R), learning_accuracy(R))


@pytest.mark.parametrize(
    ("metric", "reason"),
    [
        (lambda: acc_final([]), "nothing was evaluated"),
        (lambda: acc_final([[0.5, None]]), "experience 1 after experience 0 was not measured"),
        (lambda: aia(JOINT), "1 evaluation of 3 experiences"),
        (lambda: learning_accuracy(JOINT), "1 evaluation of 3 experiences"),
        (lambda: aia([[0.5, 0], [None, 1]]), "experience 0 after experience 1 was not measured"),
        (lambda: learning_accuracy([[0.5, 0], [0, None]]), "experience 1 after experience 1"),
        (lambda: acc_pooled(R, [0, 0, 0]), "every test set is empty"),
        (lambda: acc_pooled([[0.5, None]], [1, 1]), "experience 1 after experience 0"),
    ],
)
def test_what_was_not_measured_is_undefined_and_says_why(metric, reason):
    with pytest.raises(Undefined, match=reason):
        metric()
