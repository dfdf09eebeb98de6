"""Which point a study asks for next: optuna's samplers, made anew for each trial.

A trial's sampler is seeded by the study's seed and the trial's number, and is given the results of
all earlier rounds. So what it draws depends on nothing that a kill could lose, nor on how many
workers there are.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from clrun.errors import ConfigError
from clrun.sweep.tuning.record import Score, Study, Trial
from clrun.sweep.tuning.space import Dimension, points, space_size

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

REDRAWN = 20
"""How often a point is drawn again that was asked for before."""


def require_optuna() -> None:
    """Refuse to tune without it.

    Raises:
        ConfigError: it is not installed.
    """
    if find_spec("optuna") is None:
        raise ConfigError('clrun tune: needs optuna. Install it with: pip install "clrun[tune]"')


def first_of_round(study: Study, number: int) -> int:
    """The first trial of the round that a trial is in: those before it must be over."""
    return number - number % study.at_once


def proposed(study: Study, known: Sequence[Score], pending: Sequence[Trial]) -> dict[str, str]:
    """The point of the next trial: `known` are the earlier rounds, `pending` its own."""
    number = len(known) + len(pending)
    before = [score.trial.values for score in known] + [trial.values for trial in pending]
    if number == 0 and study.usual is not None:
        return dict(study.usual)
    if study.sampler == "grid":
        return _left(study, before)[0]
    for attempt in range(REDRAWN):
        drawn = _drawn(study, known, pending, attempt)
        if drawn not in before:
            return drawn
    left = _left(study, before) if space_size(study.space) <= study.trials + REDRAWN else []
    return left[0] if left else drawn


def _left(study: Study, before: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Points that were not asked for, in an order that follows from the study's seed."""
    every = list(points(study.space))
    random.Random(study.sampler_seed).shuffle(every)
    return [point for point in every if point not in before]


def _drawn(
    study: Study, known: Sequence[Score], pending: Sequence[Trial], attempt: int
) -> dict[str, str]:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space = {dimension.key: _distribution(dimension) for dimension in study.space}
    seed = _seed(study.sampler_seed, len(known) + len(pending), attempt)
    samplers = optuna.samplers
    sampler: Any = samplers.TPESampler if study.sampler == "tpe" else samplers.RandomSampler
    direction: Any = "maximize" if study.better == "higher" else "minimize"
    memory = optuna.create_study(direction=direction, sampler=sampler(seed=seed))
    for trial, score in [*((score.trial, score) for score in known), *((t, None) for t in pending)]:
        memory.add_trial(_finished(study, space, trial, score))
    drawn = memory.ask(space).params
    return {dimension.key: dimension.text(drawn[dimension.key]) for dimension in study.space}


def _finished(
    study: Study, space: Mapping[str, BaseDistribution], trial: Trial, score: Score | None
) -> Any:
    """A trial as optuna has it; one of the same round is known to run."""
    from optuna.trial import TrialState, create_trial

    state, value = TrialState.RUNNING, None
    if score is not None:
        value = score.value
        state = TrialState.FAIL if value is None else TrialState.COMPLETE
    return create_trial(
        params={d.key: d.number(trial.values[d.key]) for d in study.space},
        distributions=dict(space),
        value=value,
        state=state,
    )


def _distribution(dimension: Dimension) -> BaseDistribution:
    from optuna import distributions as of

    if dimension.choices:
        return of.CategoricalDistribution(dimension.choices)
    if dimension.is_whole:
        step = int(dimension.step or 1)
        low, high = int(dimension.low), int(dimension.high)
        return of.IntDistribution(low, high, log=dimension.is_log, step=step)
    step_size = dimension.step
    return of.FloatDistribution(dimension.low, dimension.high, log=dimension.is_log, step=step_size)


def _seed(*numbers: int) -> int:
    """A seed that follows from these numbers."""
    digest = hashlib.sha256(repr(numbers).encode()).digest()
    return int.from_bytes(digest[:4], "big")
