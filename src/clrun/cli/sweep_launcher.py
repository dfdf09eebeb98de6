"""Between a sweeper and its launcher: a job is checked before it runs, and no point runs twice.

Hydra's sweepers make their launcher themselves and hand it batches of jobs. They know nothing of
run folders: this does.
"""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher

from clrun.cli.hydra_job import hydra_storage_errors
from clrun.cli.sweep_job import failed
from clrun.config.hydra_errors import explained_errors
from clrun.config.sweep import Job
from clrun.console.sweep_display import SweepDisplay
from clrun.errors import ClrunError
from clrun.records.outcome import Outcome, holds_completed, outcome_in
from clrun.records.run_folder import require_unused
from clrun.runner.interrupt import RaisedSignals, Stop


@dataclass(frozen=True)
class Trial:
    """A job that was checked: what it is and where it will be."""

    words: Job
    """its overrides with the one that names its folder"""
    values: dict[str, str]
    """swept key -> its value"""
    config_hash: str
    folder: Path


@dataclass
class Ledger:
    """The trials of a sweep and what became of each."""

    trial: Callable[[Job, int], Trial]
    """checks a job, given its number"""
    values: Callable[[Job], dict[str, str]]
    """the swept keys of a job"""
    display: SweepDisplay
    signals: RaisedSignals
    outcomes: list[Outcome] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    _by_hash: dict[str, tuple[Outcome, Exception | None]] = field(default_factory=dict)

    def checked(self, job: Job, number: int) -> Trial | JobReturn:
        """The trial to run; or what it gives without running, being wrong or done already."""
        try:
            with explained_errors():
                trial = self.trial(job, number)
            known = self._known(trial)
            if known is None:
                require_unused(trial.folder)
                return trial
        except ClrunError as error:
            known = failed(self.values(job), error), error
        outcome, failure = known
        self._count(outcome, 0.0, failure)
        self.display.line(outcome, 0.0)
        return returned(job, outcome.value if failure is None else failure)

    def _known(self, trial: Trial) -> tuple[Outcome, Exception | None] | None:
        """What this configuration gave, in this sweep or in the folder where it would run."""
        if trial.config_hash in self._by_hash:
            outcome, failure = self._by_hash[trial.config_hash]
        elif holds_completed(trial.folder, trial.config_hash):
            outcome, failure = outcome_in(trial.folder, trial.values), None
        else:
            return None
        kept = Outcome(**{**vars(outcome), "values": trial.values, "is_kept": True})
        return kept, failure

    def ran(self, trial: Trial, given: JobReturn, seconds: float) -> Outcome:
        """Count a job that a launcher ran."""
        failure = failure_of(given)
        if failure is None:
            outcome = outcome_in(trial.folder, trial.values)
        else:
            outcome = failed(trial.values, failure)
        self._by_hash[trial.config_hash] = outcome, failure
        self._count(outcome, seconds, failure)
        return outcome

    def stopped(self, trials: Sequence[Trial]) -> None:
        """Count what ran, or would have run next, when a signal came."""
        for trial in trials:
            self.outcomes.append(outcome_in(trial.folder, trial.values))

    def _count(self, outcome: Outcome, seconds: float, failure: Exception | None) -> None:
        self.outcomes.append(outcome)
        self.display.ended(outcome, seconds)
        if failure is not None:
            self.errors.append(failure)


class CheckingLauncher(Launcher):
    """Checks jobs, and lets another launcher run them.

    Hydra's own sweeper stops at the first batch with a failure; with `hides_failures` it sees none.
    """

    def __init__(self, inner: Launcher, ledger: Ledger, *, hides_failures: bool) -> None:
        self._inner, self._ledger, self._hides_failures = inner, ledger, hides_failures

    def setup(self, **given: Any) -> None:
        self._inner.setup(**given)

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        jobs = [tuple(job) for job in job_overrides]
        numbered = list(enumerate(jobs, initial_job_idx))
        batches = [[pair] for pair in numbered] if runs_here(self._inner) else [numbered]
        returns = [each for batch in batches for each in self._batch(batch)]
        if self._hides_failures:
            return [each if failure_of(each) is None else returned((), None) for each in returns]
        return returns

    def _batch(self, numbered: Sequence[tuple[int, Job]]) -> list[JobReturn]:
        ledger = self._ledger
        checked = [ledger.checked(job, number) for number, job in numbered]
        trials = {each.config_hash: each for each in checked if isinstance(each, Trial)}
        given: dict[str, JobReturn] = {}
        if trials:
            start, first = time.monotonic(), numbered[0][0]
            try:
                with hydra_storage_errors(next(iter(trials.values())).folder):
                    found = self._inner.launch([each.words for each in trials.values()], first)
            except Stop:
                ledger.stopped(list(trials.values()))
                raise
            seconds = (time.monotonic() - start) / len(trials)
            for trial, each in zip(trials.values(), found, strict=True):
                outcome = ledger.ran(trial, each, seconds)
                given[trial.config_hash] = each
                if runs_here(self._inner):  # elsewhere the job has said it
                    ledger.display.line(outcome, seconds)
            ledger.signals.raise_late()
        return [given[each.config_hash] if isinstance(each, Trial) else each for each in checked]


def runs_here(launcher: Launcher) -> bool:
    """Whether it runs the jobs in this process, one after the other."""
    return isinstance(launcher, BasicLauncher)


def returned(job: Job, value: float | Exception | None) -> JobReturn:
    """What a launcher gives of a job that it did not run."""
    is_failure = isinstance(value, Exception)
    given = JobReturn(overrides=job, status=JobStatus.FAILED if is_failure else JobStatus.COMPLETED)
    given.return_value = value
    return given


def failure_of(given: JobReturn) -> Exception | None:
    """What a job raised."""
    if given.status == JobStatus.COMPLETED:
        return None
    with contextlib.redirect_stderr(io.StringIO()):  # Hydra prints that it raises
        try:
            _ = given.return_value
        except Exception as error:
            return error
    return None


@contextmanager
def launched_through(wrap: Callable[[Launcher], Launcher]) -> Iterator[None]:
    """Wrap the launcher that a sweeper asks Hydra for inside; Hydra has no place for that."""
    plugins = Plugins.instance()
    original = plugins.instantiate_launcher

    def instantiate(**given: Any) -> Launcher:
        return wrap(original(**given))

    vars(plugins)["instantiate_launcher"] = instantiate
    try:
        yield
    finally:
        del vars(plugins)["instantiate_launcher"]
