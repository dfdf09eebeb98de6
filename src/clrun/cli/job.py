"""A run from the command line: prepared with its data, then shown as it goes in its folder."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from clrun.cli.hydra_job import call_as_job
from clrun.cli.named_folder import named_folder
from clrun.config.check import check
from clrun.config.run_config import RunConfig
from clrun.console.display import make_console, make_display
from clrun.console.downloads import Downloads
from clrun.console.screen import print_error
from clrun.console.tables import print_results
from clrun.console.waiting import waiting
from clrun.errors import ClrunError
from clrun.records.run_folder import fresh_folder
from clrun.runner.prepare import Prepared, notes, prepare, ready, weights_note
from clrun.runner.run import run


def ready_run(config: RunConfig) -> Prepared:
    """A run with its data read; downloads are shown."""
    with waiting("reading the model and the data"), Downloads(make_console()) as downloads:
        return ready(config, downloads)


def run_in_folder(prepared: Prepared, tree: DictConfig) -> Path:
    """Run in the folder that `hydra.run.dir` names, or else in a fresh one."""
    named = named_folder(tree, "hydra.run.dir")
    folder = named or fresh_folder(Path(prepared.config.root.output_root)).absolute()

    def work(folder: Path) -> Path:
        with _logged_traceback(folder / f"{tree.hydra.job.name}.log"):
            _shown(prepared, folder)
        return folder

    return call_as_job(tree, folder, work)


@contextmanager
def _logged_traceback(log: Path) -> Iterator[None]:
    """Say of an error that nobody expected where its traceback is."""
    try:
        yield
    except ClrunError:
        raise
    except Exception as error:
        hint = f" (the traceback is in {log})" if log.is_file() else ""
        raise ClrunError(f"{type(error).__name__}: {error}{hint}") from error


def job_of_a_sweep(tree: DictConfig) -> float | None:
    """One job of a sweep, in whatever process the launcher chose; returns the final accuracy."""
    hydra_node = HydraConfig.get()
    whole = cast(DictConfig, OmegaConf.merge({"hydra": hydra_node}, cast(Any, tree)))
    prepared = prepare(check(whole, list(hydra_node.overrides.task)))
    return _shown(prepared, Path(hydra_node.runtime.output_dir))


def _shown(prepared: Prepared, folder: Path) -> float | None:
    """Run in this folder, showing how it goes and what came out; the final accuracy."""
    start = time.monotonic()
    config, console = prepared.config, make_console()
    on_data = (*prepared.data.notes, *weights_note(prepared))
    for note in [*notes(config), *prepared.device.notes(), *on_data]:
        _show_note(note)
    display = make_display(console)
    display.title(f"{config.label()} on {prepared.device.name}: {config.nodes['model'].option}")
    try:
        with _notes_shown():
            results = run(prepared, folder, display)
    finally:
        display.close()
    print_results(console, results, folder, time.monotonic() - start)
    return results.metrics["acc_final"]


def _show_note(note: str) -> None:
    print_error(f"clrun: note: {note}")


class _NoteHandler(logging.Handler):
    """Shows what the run itself finds worth a line."""

    def emit(self, record: logging.LogRecord) -> None:
        _show_note(record.getMessage())


@contextmanager
def _notes_shown() -> Iterator[None]:
    """Show notes that are logged inside the block; the log has them too."""
    logger, handler = logging.getLogger("clrun.note"), _NoteHandler()
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
