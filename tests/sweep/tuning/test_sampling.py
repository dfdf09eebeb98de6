"""Which point is asked for next: it follows from the study and the results, from nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clrun.sweep.tuning.record import Score, Study, Trial, as_good, best
from clrun.sweep.tuning.sampling import first_of_round, proposed
from clrun.sweep.tuning.space import Dimension

LR = Dimension(key="lr", typed="", low=1e-3, high=1.0, is_log=True)
MOMENTUM = Dimension(key="momentum", typed="0,0.9", choices=("0", "0.9"))
STUDY = Study(
    words=(),
    trial_words=(),
    where=(),
    space=(LR, MOMENTUM),
    usual=None,
    seeds=(0,),
    metric="acc_final",
    better="higher",
    experiences=3,
    trials=30,
    sampler="tpe",
    sampler_seed=0,
    at_once=1,
)


def value_of(values) -> float | None:
    """Best at lr = 0.05 with momentum; a large step size diverges."""
    lr = float(values["lr"])
    if lr > 0.5:
        return None
    return 1 - abs(lr - 0.05) + 0.2 * (values["momentum"] == "0.9")


def studied(study: Study, until: int | None = None) -> list[Score]:
    """The study with results that are known at once."""
    found: list[Score] = []
    for number in range(study.trials if until is None else until):
        first = first_of_round(study, number)
        pending = [score.trial for score in found[first:]]
        values = proposed(study, found[:first], pending)
        trial = Trial(number=number, values=values, jobs=(number,))
        value = value_of(values)
        found.append(Score(trial=trial, is_over=True, value=value, reason=value and "nan"))
    return found


def test_a_study_finds_what_is_good():
    found = best(STUDY, studied(STUDY))

    assert found is not None
    assert found.trial.values["momentum"] == "0.9"
    assert 0.02 < float(found.trial.values["lr"]) < 0.1


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_study_that_goes_on_asks_what_it_would_have_asked(sampler):
    study = replace(STUDY, sampler=sampler, at_once=4, trials=18)
    whole = studied(study)

    known, pending = whole[:12], [score.trial for score in whole[12:14]]

    assert proposed(study, known, pending) == whole[14].trial.values
    assert studied(study) == whole
    assert studied(replace(study, sampler_seed=1)) != whole


def test_a_failed_trial_is_told_as_failed_and_the_study_goes_on():
    found = studied(STUDY)

    assert any(score.value is None for score in found)
    assert best(STUDY, [score for score in found if score.value is None]) is None


def test_no_point_is_asked_for_twice_while_there_are_others():
    study = replace(STUDY, space=(MOMENTUM, replace(MOMENTUM, key="lr", choices=("0.1", "0.2"))))

    values = [score.trial.values for score in studied(replace(study, trials=4))]

    assert len({tuple(point.items()) for point in values}) == 4


def test_a_grid_tries_every_point_once():
    space = (replace(LR, low=0.1, high=0.4, step=0.1, is_log=False), MOMENTUM)
    study = replace(STUDY, sampler="grid", space=space, trials=8)

    values = [score.trial.values for score in studied(study)]

    assert len({tuple(sorted(point.items())) for point in values}) == 8


def test_what_is_drawn_follows_from_the_results_so_far():
    known = studied(STUDY, until=12)
    otherwise = [replace(s, value=None if s.value is None else -s.value) for s in known]

    assert proposed(STUDY, known, ()) != proposed(STUDY, otherwise, ())


def test_no_two_trials_draw_the_same_point():
    study = replace(STUDY, space=(LR,), sampler="random", trials=40)
    drawn: list[Trial] = []
    for number in range(study.trials):
        drawn.append(Trial(number=number, values=proposed(study, (), drawn), jobs=()))

    assert len({trial.values["lr"] for trial in drawn}) == study.trials


def test_the_configuration_as_it_is_comes_first():
    study = replace(STUDY, usual={"lr": "0.1", "momentum": "0"})

    assert studied(study, until=1)[0].trial.values == study.usual


def test_other_points_that_are_as_good_are_found_once():
    points = [("a", 0.9), ("b", 0.9), ("c", 0.1), ("a", 0.9), ("b", 0.9), ("d", None), ("e", 0.9)]
    found = [
        Score(
            trial=Trial(number=number, values={"lr": name}, jobs=(number,)),
            is_over=True,
            value=value,
        )
        for number, (name, value) in enumerate(points)
    ]
    chosen = best(STUDY, found)

    assert chosen is found[0]
    assert as_good(found, chosen) == [found[1], found[6]]


@pytest.mark.parametrize(("better", "expected"), [("higher", 1), ("lower", 0)])
def test_the_best_is_the_best_in_the_metrics_direction(better, expected):
    found = [
        Score(trial=Trial(number=number, values={}, jobs=(number,)), is_over=True, value=value)
        for number, value in enumerate((0.1, 0.9, 0.9))
    ]

    assert best(replace(STUDY, better=better), found) is found[expected]
