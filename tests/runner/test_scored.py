from __future__ import annotations

import numpy as np
import pytest

from clrun.runner.judged import Detail
from clrun.runner.scored import Scored, optional, padded, trimmed
from clrun.runner.scores import Scores

NAN = np.nan
DETAIL = Detail(confusion=np.array([[0, 1, 3]]), ece=0.25, nll=None)


def scored() -> Scored:
    made = Scored(initial=Scores(experiences=[0.1, None], classes=[None, 0.2]))
    made.add(0, Scores(experiences=[0.5, None, None], classes=[1.0, None]), 7)
    made.end_experience(evaluated=True)
    made.end_experience(evaluated=False)
    made.add_inside(2, [0.5, None, 0.125], 8)
    made.add(2, Scores(experiences=[0.5, None, 0.25], classes=[1.0, 0.75], detail=DETAIL), 9)
    made.end_experience(evaluated=True)
    return made


def test_evaluations_are_kept_up_to_the_last_experience_that_was_scored():
    first, none, last = scored().at_ends()

    assert none is None
    assert (first.seen, first.experiences.tolist()) == (0, [0.5])
    assert optional(first.classes) == [1.0, None]
    assert (last.seen, optional(last.experiences)) == (2, [0.5, None, 0.25])


def test_what_was_saved_is_loaded():
    again = Scored()

    again.load_state_dict(scored().state_dict())

    assert again.initial == scored().initial
    assert again.ends == [0, None, 2]
    assert again.are_ends() == scored().are_ends() == [True, False, True]
    assert again.detail.confusion.tolist() == DETAIL.confusion.tolist()
    assert (again.detail.ece, again.detail.nll) == (0.25, None)
    for ours, theirs in zip(again.points, scored().points, strict=True):
        assert (ours.seen, ours.iteration) == (theirs.seen, theirs.iteration)
        assert np.array_equal(ours.own_curve, theirs.own_curve, equal_nan=True)
        assert np.array_equal(ours.experiences, theirs.experiences, equal_nan=True)
        assert np.array_equal(ours.classes, theirs.classes, equal_nan=True)


def test_a_curve_has_the_rows_of_the_subset_where_there_is_one():
    made = scored()
    made.add(2, Scores(experiences=[0.5], classes=[1.0], subset=[0.25, None]), 12)

    curves = [optional(point.curve) for point in made.points]

    assert curves == [[0.5], [0.5, None, 0.125], [0.5, None, 0.25], [0.25]]
    assert made.detail is DETAIL  # of the end before


def test_a_state_without_evaluations_is_loaded():
    again = scored()

    again.load_state_dict(Scored().state_dict())

    assert again == Scored()


def test_a_state_is_as_large_as_what_was_evaluated():
    many = Scored()
    for k in range(100):
        many.end_experience(evaluated=k == 99)

    assert many.state_dict()["experiences"]["values"].numel() == 0


@pytest.mark.parametrize(
    ("values", "expected"),
    [([], []), ([None], []), ([0.0, None, 1.0, None], [0.0, None, 1.0]), ([0.5], [0.5])],
)
def test_what_follows_the_last_measured_value_is_left_off(values, expected):
    assert trimmed(values) == expected


def test_what_was_not_measured_is_filled_up():
    assert optional(padded(np.array([0.5, NAN]), 4)) == [0.5, None, None, None]
