"""A study as it goes on: round after round of trials, each written down before it runs.

Whoever comes next does what is missing. Two may do it at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from clrun.config.compose import compose_as_trusted
from clrun.config.run_config import RunConfig
from clrun.config.sweep import LOCAL
from clrun.disk import locks
from clrun.errors import ConfigError, LeakError
from clrun.records.run_folder import read_record as read_run
from clrun.runner.interrupt import Interrupted
from clrun.sweep.engines.starting import is_engine, run_elsewhere
from clrun.sweep.events import Ended, Event, Noted
from clrun.sweep.expand import Point, job_folder
from clrun.sweep.folder import SweepFolder
from clrun.sweep.manifest import read_manifest
from clrun.sweep.outcomes import is_over
from clrun.sweep.planning import planned
from clrun.sweep.record import read_record
from clrun.sweep.slots import slots_here
from clrun.sweep.start import write_sweep
from clrun.sweep.tuning.record import (
    Score,
    Study,
    Trial,
    read_study,
    read_trials,
    scores,
    write_trials,
)
from clrun.sweep.tuning.sampling import first_of_round, proposed
from clrun.sweep.worker import Worker

LOOK_SECONDS = 5.0
"""How often it is looked whether workers elsewhere are done."""


@dataclass
class Running:
    """A study in a folder, from wherever it is to its end.

    `on_score` is called once for each trial that is over, in the order in which they end;
    `on_note` with what a run finds worth a line.
    """

    path: Path
    on_score: Callable[[Score], None]
    on_note: Callable[[str], None]
    force: bool = False
    retry_failed: bool = False
    _said: set[int] = field(default_factory=set)

    def run(self) -> list[Score]:
        """Do what is missing; what came of every trial.

        Raises:
            LeakError: a trial opened what it may not see.
            Interrupted: a signal ended it; the state of every job is saved.
            ClrunError: the sweep's folder cannot be written, no process can be started.
        """
        if self.retry_failed:
            self._work(retry_failed=True)
        while grow(self.path, force=self.force):
            self._say()
            self._work()
            self._say()
        self._say()
        return self.scores()

    def scores(self) -> list[Score]:
        """What came of the trials so far."""
        study, trials = read_study(self.path), read_trials(self.path)
        return scores(self.path, study, trials, read_manifest(self.path))

    def _work(self, *, retry_failed: bool = False) -> None:
        options, jobs = read_record(self.path).options, read_manifest(self.path)
        if is_engine(options.launcher):
            run_elsewhere(self.path, options, retry_failed=retry_failed, force=self.force)
            while not all(is_over(self.path, job) for job in jobs):
                time.sleep(LOOK_SECONDS)
                self._say()
            return
        slots = slots_here(options, jobs)
        worker = Worker(
            self.path, slots, options, self._hear, force=self.force, retry_failed=retry_failed
        )
        worked = worker.run()
        if worked.signal is not None:
            raise Interrupted(worked.signal, "The running trials have saved their state.")

    def _hear(self, event: Event) -> None:
        if isinstance(event, Ended) and event.number is not None:
            self._say()
        elif isinstance(event, Noted):
            self.on_note(event.text)

    def _say(self) -> None:
        """Tell of trials that are over and were not told of."""
        for score in self.scores():
            if score.is_over and score.trial.number not in self._said:
                self._said.add(score.trial.number)
                self._require_no_leak(score)
                self.on_score(score)

    def _require_no_leak(self, score: Score) -> None:
        """End the study at a trial that peeked: none of the others is honest either.

        Raises:
            LeakError: it is one.
        """
        jobs = read_manifest(self.path)
        for number in score.trial.jobs:
            error = str(read_run(self.path / jobs[number].folder).get("error"))
            name, _, reason = error.partition(": ")
            if score.value is None and name == LeakError.__name__:
                raise LeakError(f"trial {score.trial.number}: {reason}")


def grow(path: Path, *, force: bool = False) -> bool:
    """Ask for the trials that can be asked for; whether some job is to be done by somebody.

    Raises:
        FolderError: a job would not give the numbers that it was to give, and it is not forced.
    """
    with locks.locked(SweepFolder(path).inner("study.lock")):
        study = read_study(path)
        while True:
            trials = list(read_trials(path))
            found = scores(path, study, trials, read_manifest(path))
            first = first_of_round(study, len(trials))
            if len(trials) < study.trials and all(score.is_over for score in found[:first]):
                _ask(path, study, trials, found[:first], force=force)
            elif not all(score.is_over for score in found):
                return True
            elif len(trials) >= study.trials:
                return False


def _ask(
    path: Path, study: Study, trials: Sequence[Trial], known: Sequence[Score], *, force: bool
) -> None:
    """Write down the rest of a round: its jobs first, for it names them."""
    asked = list(trials)
    while len(asked) < min(len(known) + study.at_once, study.trials):
        values = proposed(study, known, asked[len(known) :])
        asked.append(Trial(number=len(asked), values=values, jobs=()))
    fresh = asked[len(trials) :]
    try:
        found = _written(path, study, fresh, force=force)
    except ConfigError:  # of one of them
        found = [_alone(path, study, trial, force=force) for trial in fresh]
    write_trials(path, [*trials, *found])


def _alone(path: Path, study: Study, trial: Trial, *, force: bool) -> Trial:
    try:
        [found] = _written(path, study, [trial], force=force)
    except ConfigError as error:
        return replace(trial, wrong=error.problems[0])
    return found


def _written(path: Path, study: Study, trials: Sequence[Trial], *, force: bool) -> list[Trial]:
    """The trials with their jobs, which are in the manifest.

    Raises:
        ConfigError: there can be no such job.
    """
    record = read_record(path)
    points = [[trial_point(study, t.values, seed) for seed in study.seeds] for t in trials]
    every = {point.hash: point for some in points for point in some}
    plan = planned(
        list(every.values()),
        path,
        threads=int(record.options.launcher_keys.get("threads", 1)),
        is_here=record.options.launcher == LOCAL,
        force=force,
    )
    jobs = write_sweep(
        path,
        plan,
        command=record.command,
        swept=tuple(points[0][0].values),
        output_root=Path(record.output_root),
        options=record.options,
    )
    numbers = {job.hash: job.number for job in jobs}
    return [
        replace(trial, jobs=tuple(numbers[point.hash] for point in some))
        for trial, some in zip(trials, points, strict=True)
    ]


def trial_point(study: Study, values: Mapping[str, str], seed: int) -> Point:
    """A point as a job of the sweep.

    Raises:
        ConfigError: it is wrong.
    """
    words = (*study.words, *study.trial_words, *_words(values), f"seed={seed}")
    config = configured(study.where, words)
    swept = {**values, "seed": str(seed)}
    hashed = config.hash()
    folder = job_folder(config, swept, hashed)
    return Point(words=words, values=swept, config=config, hash=hashed, folder=folder)


def full_words(study: Study, values: Mapping[str, str]) -> tuple[str, ...]:
    """What runs a point on the full stream, but for its seed."""
    return (*study.words, *_words(values))


def configured(where: Sequence[str], words: Sequence[str]) -> RunConfig:
    """The configuration of words, from where the --config-* words lead. They may stand in a file of
    somebody else's: what they name is trusted as far as what was typed now says.

    Raises:
        ConfigError: they are wrong.
    """
    return compose_as_trusted(words, **_keywords(where)).config


def _keywords(where: Sequence[str]) -> dict[str, Any]:
    """The --config-* words as keywords of `compose`."""
    found = dict(zip(where[::2], where[1::2], strict=True))
    path = found.get("--config-path")
    return {
        "config_dirs": [Path(found["--config-dir"])] if "--config-dir" in found else [],
        "config_path": None if path is None else Path(path),
        "config_name": found.get("--config-name", "config"),
    }


def _words(values: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(f"{key}={value}" for key, value in values.items())
