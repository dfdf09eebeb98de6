"""study.json and trials.jsonl: what a study is, and which points it has asked for. No torch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Any, Literal

from clrun.disk.files import write_json, write_text
from clrun.disk.opening import read_text
from clrun.errors import ConfigError
from clrun.records.results_end import read_numbers
from clrun.sweep.manifest import Job
from clrun.sweep.outcomes import COMPLETED, is_over, read_outcome
from clrun.sweep.tuning.space import Dimension, Space

STUDY, TRIALS = "study.json", "trials.jsonl"
SCHEMA = 1
LARGEST = 2**30
"""Bytes of trials.jsonl"""

Sampler = Literal["tpe", "random", "grid"]


@dataclass(frozen=True, kw_only=True)
class Study:
    """What is searched, and how it is judged. Trials follow from this alone, and from each other's
    results."""

    words: tuple[str, ...]
    """those of every job, as typed; what is searched and the seed are not among them"""
    trial_words: tuple[str, ...]
    """what only trials have: the first experiences, the validation stream"""
    where: tuple[str, ...]
    """the --config-* words, their folders absolute"""
    space: Space
    usual: Mapping[str, str] | None
    """the point that the configuration has without tuning, if it is in the space: the first one"""
    seeds: tuple[int, ...]
    """of the jobs of each trial, over which its score is the mean"""
    metric: str
    better: Literal["higher", "lower"]
    experiences: int
    trials: int
    sampler: Sampler
    sampler_seed: int
    at_once: int
    """Trials are drawn in rounds of so many: each knows the results of all earlier rounds."""
    sweep_words: tuple[str, ...] = ()
    """how jobs are run (`sweep.KEY`, `launcher`), as typed"""
    full_seeds: tuple[int, ...] = ()
    """of the full stream: none of `seeds`"""
    runs_full: bool = False
    """whether the full stream is run at the end"""
    schema: int = SCHEMA


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A point that was asked for."""

    number: int
    """from 0"""
    values: Mapping[str, str]
    """key -> value as typed"""
    jobs: tuple[int, ...]
    """their numbers in the manifest, one for each seed; an equal point has the same ones"""
    wrong: str | None = None
    """why there can be no such job"""


@dataclass(frozen=True, kw_only=True)
class Score:
    """What came of a trial."""

    trial: Trial
    is_over: bool
    value: float | None = None
    """mean over its seeds; None where it failed, or is not over"""
    reason: str | None = None
    """why it failed, in one line"""


def is_study(path: Path) -> bool:
    """Whether this is the folder of a study."""
    return (path / STUDY).is_file()


def read_study(path: Path) -> Study:
    """The study in a folder.

    Raises:
        ConfigError: there is none, or it is damaged.
    """
    file = path / STUDY
    try:
        given = json.loads(read_text(file))
        space = tuple(Dimension(**_tuples(one)) for one in given.pop("space"))
        return Study(**_tuples(given), space=space)
    except FileNotFoundError:
        raise ConfigError(f"{path}: holds no study, for there is no {STUDY}.") from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(f"{file}: is damaged: {' '.join(str(error).split())}") from None


def write_study(path: Path, study: Study) -> None:
    """Write what the study is, whole or not at all."""
    write_json(path / STUDY, asdict(study))


def read_trials(path: Path) -> tuple[Trial, ...]:
    """The trials so far, in order.

    Raises:
        ConfigError: their file is damaged.
    """
    file = path / TRIALS
    try:
        lines = read_text(file, most=LARGEST).splitlines()
        trials = tuple(Trial(**_tuples(json.loads(line))) for line in lines)
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"{file}: is damaged: {' '.join(str(error).split())}") from None
    if [trial.number for trial in trials] != list(range(len(trials))):
        raise ConfigError(f"{file}: is damaged: its trials are not counted up from 0.")
    return trials


def write_trials(path: Path, trials: Sequence[Trial]) -> None:
    """Write all trials, whole or not at all; their jobs are in the manifest already."""
    lines = (json.dumps(asdict(trial), separators=(",", ":")) for trial in trials)
    write_text(path / TRIALS, "".join(f"{line}\n" for line in lines))


def scores(path: Path, study: Study, trials: Sequence[Trial], jobs: Sequence[Job]) -> list[Score]:
    """What came of the trials, from the folders of their jobs."""
    return [_score(path, study, trial, [jobs[number] for number in trial.jobs]) for trial in trials]


def best(study: Study, found: Sequence[Score]) -> Score | None:
    """The trial with the best score, the first of several; None where all failed."""
    judged = [score for score in found if score.value is not None]
    sign = 1.0 if study.better == "higher" else -1.0
    return max(judged, key=lambda score: sign * (score.value or 0.0), default=None)


def as_good(found: Sequence[Score], chosen: Score) -> list[Score]:
    """Other points whose score is that of the chosen trial, each once."""
    points = {tuple(score.trial.values.items()): score for score in reversed(found)}
    del points[tuple(chosen.trial.values.items())]
    equal = [score for score in points.values() if score.value == chosen.value]
    return sorted(equal, key=lambda score: score.trial.number)


def _score(path: Path, study: Study, trial: Trial, jobs: Sequence[Job]) -> Score:
    if trial.wrong is not None:
        return Score(trial=trial, is_over=True, reason=trial.wrong)
    if not all(is_over(path, job) for job in jobs):
        return Score(trial=trial, is_over=False)
    values = []
    for job in jobs:
        outcome = read_outcome(path, job.number)
        if outcome is None or outcome.status != COMPLETED:
            reason = "failed" if outcome is None else outcome.reason
            return Score(trial=trial, is_over=True, reason=reason or "failed")
        value = read_numbers(path / job.folder).metrics.get(study.metric)
        if value is None:
            return Score(trial=trial, is_over=True, reason=f"its {study.metric} is undefined")
        values.append(value)
    return Score(trial=trial, is_over=True, value=mean(values))


def _tuples(given: Mapping[str, Any]) -> dict[str, Any]:
    """The members of a dataclass of ours, which JSON has no tuples for."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
