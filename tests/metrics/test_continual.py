import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clrun.metrics import (
    Undefined,
    acc_final,
    gap_recovery,
    gaps,
    min_acc,
    stability_gap,
    wc_acc,
    windowed_forgetting,
    windowed_plasticity,
)

NONE = None
EVALUATIONS = [
    (0, [0.4, NONE, NONE]),
    (0, [0.8, NONE, NONE]),  # end of experience 0
    (1, [0.2, 0.6, NONE]),
    (1, [0.5, 0.8, NONE]),
    (1, [0.7, 0.9, NONE]),  # end of experience 1
    (2, [0.3, 0.9, 0.5]),
    (2, [0.6, 0.3, 0.4]),
    (2, [0.6, 0.5, 1.0]),  # end of experience 2
]
ENDS = [False, True, False, False, True, False, False, True]
ITERATIONS = [3, 6, 9, 12, 14, 15, 18, 21]


@st.composite
def streams(draw):
    """(evaluations, ends, iterations) of a stream with evaluations inside its experiences."""
    evaluations, ends = [], []
    count = draw(st.integers(2, 5))
    for index in range(count):
        inside = draw(st.integers(0, 4))
        for place in range(inside + 1):
            row = [draw(st.floats(0, 1)) for _ in range(index + 1)]
            evaluations.append((index, row + [None] * (count - index - 1)))
            ends.append(place == inside)
    return evaluations, ends, list(range(1, len(ends) + 1))


def test_windowed_forgetting_is_the_mean_of_the_largest_drops():
    # 0: 0.8 to 0.2; 1: 0.9 to 0.3 two evaluations later; 2: 0.5 to 0.4
    assert windowed_forgetting(EVALUATIONS, 10) == pytest.approx((0.6 + 0.6 + 0.1) / 3)
    # neighbours alone give the same but for nothing between 0.9, 0.9, 0.3
    assert windowed_forgetting(EVALUATIONS, 2) == pytest.approx((0.6 + 0.6 + 0.1) / 3)


def test_windowed_plasticity_is_the_mean_of_the_largest_rises():
    # 0: 0.2 to 0.7 over three; 1: 0.6 to 0.9 over three; 2: 0.4 to 1.0
    assert windowed_plasticity(EVALUATIONS, 3) == pytest.approx((0.5 + 0.3 + 0.6) / 3)
    # neighbours alone: 0.4 to 0.8, 0.6 to 0.8 (or 0.3 to 0.5), 0.4 to 1.0
    assert windowed_plasticity(EVALUATIONS, 2) == pytest.approx((0.4 + 0.2 + 0.6) / 3)


@given(streams(), st.integers(2, 12))
@settings(deadline=None, max_examples=60)
def test_a_window_sees_what_every_pair_of_its_evaluations_shows(stream, window):
    evaluations, _, _ = stream
    count = evaluations[-1][0] + 1
    drops, rises = [], []
    for j in range(count):
        curve = [row[j] for index, row in evaluations if index >= j]
        changes = [
            curve[m] - curve[n]
            for n in range(len(curve))
            for m in range(max(0, n - window + 1), n + 1)
        ]
        drops.append(max(changes))
        rises.append(-min(changes))

    assert windowed_forgetting(evaluations, window) == pytest.approx(np.mean(drops))
    assert windowed_plasticity(evaluations, window) == pytest.approx(np.mean(rises))


@given(streams())
@settings(deadline=None, max_examples=40)
def test_a_longer_window_sees_no_less(stream):
    evaluations, _, _ = stream

    found = [windowed_forgetting(evaluations, window) for window in (2, 3, 10, 100)]

    assert found == sorted(found)


def test_long_streams_are_looked_at_in_parts(monkeypatch):
    whole = windowed_forgetting(EVALUATIONS, 3), windowed_plasticity(EVALUATIONS, 3)
    monkeypatch.setattr("clrun.metrics.continual.ENTRIES", 1)

    assert (windowed_forgetting(EVALUATIONS, 3), windowed_plasticity(EVALUATIONS, 3)) == whole


def test_the_gap_is_from_before_a_switch_to_the_lowest_after_it():
    first, second = gaps(EVALUATIONS, ENDS, ITERATIONS)

    assert (first.experience, second.experience) == (1, 2)
    assert first.depth == pytest.approx([0.8 - 0.2])
    assert second.depth == pytest.approx([0.7 - 0.3, 0.9 - 0.3])
    assert stability_gap([first, second]) == pytest.approx((0.6 + (0.4 + 0.6) / 2) / 2)


def test_recovery_is_counted_in_updates_from_the_switch_until_it_is_back_or_as_good_as_it_gets():
    first, second = gaps(EVALUATIONS, ENDS, ITERATIONS)

    assert first.recovery.tolist() == [14 - 6]  # ends at 0.7, below 0.8, and is there at the end
    assert second.recovery.tolist() == [18 - 14, 21 - 14]  # 0.6 again at once; 0.5 at the end
    assert gap_recovery([first, second]) == pytest.approx((8 + (4 + 7) / 2) / 2)


def test_what_only_rises_has_no_gap_and_nothing_to_recover_from():
    evaluations = [(0, [0.5, NONE]), (1, [0.6, 0.1]), (1, [0.7, 0.2])]

    (gap,) = gaps(evaluations, [True, False, True], [1, 2, 3])

    assert gap.depth == pytest.approx([-0.1])
    assert gap.recovery.tolist() == [0]


def test_what_is_lost_for_good_at_once_has_recovered_at_once():
    evaluations = [(0, [0.5, NONE]), (1, [0.0, 0.1]), (1, [0.0, 0.2])]

    (gap,) = gaps(evaluations, [True, False, True], [1, 2, 3])

    assert gap.depth == pytest.approx([0.5])
    assert gap.recovery.tolist() == [0]


@given(streams())
@settings(deadline=None, max_examples=60)
def test_a_gap_is_at_least_what_was_forgotten_by_the_end_of_the_experience(stream):
    evaluations, ends, iterations = stream
    at_ends = [row for (_, row), is_end in zip(evaluations, ends, strict=True) if is_end]

    for gap in gaps(evaluations, ends, iterations):
        k = gap.experience
        lost = np.array(at_ends[k - 1][:k], float) - np.array(at_ends[k][:k], float)
        assert (gap.depth >= lost - 1e-12).all()
        assert (gap.recovery >= 0).all()


@given(streams())
@settings(deadline=None, max_examples=60)
def test_with_the_boundary_in_the_minimum_the_worst_case_is_at_most_the_final_accuracy(stream):
    evaluations, _, _ = stream
    final = [evaluations[-1][1]]

    assert wc_acc(evaluations) <= acc_final(final) + 1e-12
    assert min_acc(evaluations) <= np.mean(final[0][:-1]) + 1e-12


@pytest.mark.parametrize(
    ("evaluations", "ends", "reason"),
    [
        ([], [], "nothing was evaluated"),
        ([(0, [0.5])], [True], "at least 2 experiences"),
        ([(0, [0.5, 0]), (1, [0.5, 0])], [False, True], "after experience 0 were not measured"),
        ([(0, [0.5, 0]), (2, [0.5, 0, 0])], [True, True], "after experience 1 were not measured"),
        ([(0, [0.5, 0]), (1, [None, 0])], [True, True], "experience 0 was not measured during"),
    ],
)
def test_gaps_that_were_not_measured_are_undefined_and_say_why(evaluations, ends, reason):
    with pytest.raises(Undefined, match=reason):
        gaps(evaluations, ends, list(range(len(ends))))


def test_windows_without_evaluations_are_undefined():
    with pytest.raises(Undefined, match="nothing was evaluated"):
        windowed_forgetting([], 10)
