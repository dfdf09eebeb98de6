"""What is said of a study, from its trials alone."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from clrun.sweep.tuning.record import Score, Study, Trial
from clrun.sweep.tuning.space import Dimension
from clrun.sweep.tuning.standing import Standing

STUDY = Study(
    words=(),
    trial_words=(),
    where=(),
    space=(Dimension(key="lr", typed="a,b,c", choices=("a", "b", "c")),),
    usual=None,
    seeds=(0,),
    metric="bwt",
    better="higher",
    experiences=2,
    trials=3,
    sampler="grid",
    sampler_seed=0,
    at_once=1,
)
ROWS = "the validation rows of the first 2 experiences."


def stands(values: Sequence[float | None], *, are_over: int) -> Standing:
    found = [
        Score(
            trial=Trial(number=number, values={"lr": "abc"[number]}, jobs=(number,)),
            is_over=number < are_over,
            value=value,
        )
        for number, value in enumerate(values)
    ]
    return Standing(STUDY, found)


@pytest.mark.parametrize(
    ("values", "others"),
    [((0.5, 0.5, 0.1), "trial 1"), ((0.5, 0.5, 0.5), "trials 1, 2")],
)
def test_points_that_are_as_good_are_named(values, others):
    assert stands(values, are_over=3).lines() == [
        f"study: 3 of 3 trials are over; every accuracy is of {ROWS}",
        f"best of 3: trial 0, lr=a: bwt 0.5000 on {ROWS}",
        f"as good by these rows, but later, and so not taken: {others}.",
    ]


def test_one_that_is_best_alone_has_no_others():
    assert stands((0.1, None, 0.5), are_over=3).best_lines() == [
        f"best of 3: trial 2, lr=c: bwt 0.5000 on {ROWS}"
    ]


def test_what_is_not_over_counts_for_nothing():
    stand = stands((0.1, 0.5, None), are_over=1)

    assert stand.lines() == [
        f"study: 1 of 3 trials are over; every accuracy is of {ROWS}",
        f"best of 1 so far: trial 0, lr=a: bwt 0.1000 on {ROWS}",
    ]
    assert not stand.is_over
    assert [trial.number for trial in stand.trials()] == [0]
    assert stand.plain()["best"] == {"trial": 0, "values": {"lr": "a"}, "value": 0.1}


def test_without_a_score_nothing_is_best():
    stand = stands((None,), are_over=1)

    assert len(stand.lines()) == 1
    assert stand.plain()["best"] is None
