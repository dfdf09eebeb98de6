"""A run that goes on from the command line: its log continued, shown as any run is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hydra.core.utils import configure_log
from omegaconf import OmegaConf

from clrun.cli.hydra_job import hydra_storage_errors
from clrun.cli.job import logged_traceback, notes_shown, shown_run
from clrun.config.sources import conf_root
from clrun.console.display import make_console
from clrun.console.downloads import Downloads
from clrun.console.waiting import waiting
from clrun.profiling.activity import doing
from clrun.records.run_folder import is_job
from clrun.records.unfinished import Unfinished
from clrun.runner.interrupt import noted_signals
from clrun.runner.resume import continuation

LOG = "clrun"
"""The name of the log, without its .log, in a run folder where nobody gave another."""


def go_on(run: Unfinished, *, force: bool) -> None:
    """Go on with this run.

    Raises:
        ClrunError: it cannot be, or it failed.
    """
    folder = run.folder.path
    with noted_signals(), notes_shown(), logged_traceback(folder / f"{LOG}.log"):
        with _reading(), Downloads(make_console()) as downloads:
            ready = continuation(run, downloads, force=force)
        _open_log(folder)
        shown_run(ready.prepared, run.folder, resumed=ready.state, is_latest=not is_job(folder))


@contextmanager
def _reading() -> Iterator[None]:
    """Say that data are read, which a signal may end: nothing of the run has changed until then."""
    what = "reading the model and the data"
    with waiting(what), doing(what):
        yield


def _open_log(folder: Path) -> None:
    """Let log lines go to the end of the run's log, as Hydra does for a run that starts."""
    log = OmegaConf.load(conf_root() / "hydra" / "job_logging" / "clrun.yaml")
    hydra = {"runtime": {"output_dir": str(folder)}, "job": {"name": LOG}}
    with hydra_storage_errors(folder):
        configure_log(OmegaConf.create({"hydra": hydra, "log": log}).log)
