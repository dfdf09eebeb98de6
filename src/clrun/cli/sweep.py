"""A sweep: run by Hydra's sweeper and launcher, shown as it goes and summed up in a table."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from hydra._internal.callbacks import Callbacks
from hydra.core.plugins import Plugins
from hydra.core.utils import configure_log
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext

from clrun.cli.named_folder import named_folder
from clrun.cli.sweep_job import SweepJob
from clrun.cli.sweep_launcher import (
    CheckingLauncher,
    Ledger,
    Trial,
    launched_through,
    runs_here,
)
from clrun.config.applied import numbered
from clrun.config.resolved import resolved
from clrun.config.run_config import RunConfig, quoted
from clrun.config.sweep import Job, Sweep, as_typed, swept_values
from clrun.console.display import make_console
from clrun.console.sweep_display import SweepDisplay
from clrun.console.sweep_table import counted, print_sweep
from clrun.disk.files import storage_errors
from clrun.records.outcome import FAILED, NOT_STARTED, Outcome, holds_completed
from clrun.records.run_folder import fresh_folder, point_latest, require_unused
from clrun.runner.interrupt import Interrupted, RaisedSignals, Stop
from clrun.runner.prepare import prepare
from clrun.sweep.expand import OUR_SUBFOLDER, folder_there, job_folder


class RunningSweep:
    """A sweep whose every job was checked by its keys, from here to the table.

    Raises:
        ConfigError: the data, model or device of a job are wrong; nothing was written.
        FolderError: the folder that is named holds other runs; nothing was written.
    """

    def __init__(self, sweep: Sweep, checked: Mapping[Job, RunConfig]) -> None:
        self._sweep, self._checked = sweep, checked
        for config in checked.values():
            prepare(config)
        self._own_subfolder = sweep.subfolder == OUR_SUBFOLDER
        self._root = Path(next(iter(checked.values())).root.output_root)
        self.folder = self._sweep_folder()

    def run(self, signals: RaisedSignals) -> int:
        """Run all jobs; the exit code, 1 if some failed.

        Raises:
            Interrupted: a signal ended it.
        """
        start, console = time.monotonic(), make_console()
        swept = self._sweep.swept
        values = [swept_values(job, swept) for job in self._checked]
        display = SweepDisplay(console, values if self._sweep.is_listed else None)
        ledger = Ledger(self._trial, lambda job: swept_values(job, swept), display, signals)
        try:
            self._multirun(ledger)
        except Stop as stop:
            outcomes = [*ledger.outcomes, *self._not_started(ledger.outcomes)]
            print_sweep(console, outcomes, self.folder, time.monotonic() - start)
            raise Interrupted(stop.number, counted(outcomes)) from None
        except Exception as error:
            if error not in ledger.errors:
                raise
        print_sweep(console, ledger.outcomes, self.folder, time.monotonic() - start)
        return int(any(outcome.status == FAILED for outcome in ledger.outcomes))

    def _multirun(self, ledger: Ledger) -> None:
        """What Hydra's own `multirun` does, with a launcher that checks."""
        tree, name = self._sweep.tree, self._sweep.tree.hydra.job.config_name
        with storage_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        point_latest(self.folder, self._root)
        callbacks = Callbacks(tree)
        callbacks.on_multirun_start(config=tree, config_name=name)

        def checking(launcher: Launcher) -> Launcher:
            job.display = ledger.display if runs_here(launcher) else None
            return CheckingLauncher(launcher, ledger, hides_failures=self._sweep.is_listed)

        job = SweepJob(self._sweep.swept)
        with launched_through(checking), _quiet_launcher():
            configure_log(tree.hydra.hydra_logging, tree.hydra.verbose)
            sweeper = Plugins.instance().instantiate_sweeper(
                config=tree,
                hydra_context=HydraContext(self._sweep.app.config_loader, callbacks),
                task_function=job,
            )
            sweeper.sweep(arguments=as_typed(tree.hydra.overrides.task))
        callbacks.on_multirun_end(config=tree, config_name=name)

    def _trial(self, job: Job, number: int) -> Trial:
        """A job, checked, and where it will be."""
        config = self._checked.get(job)
        if config is None:
            config = self._sweep.composed(job).config
            prepare(config)
        values, words = swept_values(job, self._sweep.swept), job
        if self._own_subfolder:
            hashed = config.hash()
            name = folder_there(self.folder, hashed) or job_folder(config, values, hashed)
            words = (*job, f"hydra.sweep.subdir={quoted(name)}")
        else:
            tree = numbered(self._sweep.composed(job).tree, number)
            name = str(resolved(tree, "hydra.sweep.subdir"))
        return Trial(words, values, config.hash(), self.folder / name)

    def _sweep_folder(self) -> Path:
        """The folder that is named, if none of its runs is in the way, or else a fresh one."""
        tree = self._sweep.tree
        named = named_folder(tree, "hydra.sweep.dir")
        if named is None:
            folder = fresh_folder(self._root, "multirun").absolute()
        else:
            self.folder = folder = named.absolute()
            self._require_room()
        tree.hydra.sweep.dir = str(folder)
        tree.hydra.overrides.hydra.append(f"hydra.sweep.dir={quoted(str(folder))}")
        return folder

    def _require_room(self) -> None:
        if self._sweep.is_listed:
            for number, job in enumerate(self._checked):
                trial = self._trial(job, number)
                if not holds_completed(trial.folder, trial.config_hash):
                    require_unused(trial.folder)

    def _not_started(self, outcomes: Sequence[Outcome]) -> Iterator[Outcome]:
        """The jobs of a listed sweep that are in no outcome."""
        counted_values = [outcome.values for outcome in outcomes]
        for job in self._checked if self._sweep.is_listed else ():
            values = swept_values(job, self._sweep.swept)
            if values not in counted_values:
                yield Outcome(values=values, status=NOT_STARTED)


@contextmanager
def _quiet_launcher() -> Iterator[None]:
    """Hydra's launcher logs each job as it starts, on the screen; we show that."""
    logger = logging.getLogger("hydra._internal.core_plugins.basic_launcher")
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)
