"""A run from the command line: prepared with its data, then shown as it goes in its folder."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.text import Text

from clrun.cli.hydra_job import call_as_job
from clrun.cli.named_folder import RUN, named_folder
from clrun.cli.run_report import report_line
from clrun.config.run_config import RunConfig
from clrun.console.display import make_console, make_display
from clrun.console.downloads import Downloads
from clrun.console.notes import show_note
from clrun.console.tables import print_results
from clrun.console.waiting import waiting
from clrun.disk.files import NO_STORAGE
from clrun.errors import ClrunError
from clrun.fast.garbage import no_search
from clrun.records.run_folder import RunFolder, fresh_folder, is_job
from clrun.runner.interrupt import noted_signals
from clrun.runner.prepare import Prepared, all_notes, ready
from clrun.runner.run import run


def ready_run(config: RunConfig) -> Prepared:
    """A run with its data read; downloads are shown."""
    words = "reading the model and the data"
    with notes_shown(), waiting(words), Downloads(make_console()) as downloads:
        return ready(config, downloads)


def run_in_folder(prepared: Prepared, tree: DictConfig) -> Path:
    """Run in the folder that `hydra.run.dir` names, or else in a fresh one.

    Raises:
        FolderError: that folder is in use or holds a run; nothing in it changed.
    """
    named = named_folder(tree, RUN)
    with noted_signals():  # from here on there is a folder, which says how the run ended
        path = (named or fresh_folder(Path(prepared.config.root.output_root))).absolute()
        opened = RunFolder(path)  # before Hydra writes there

        def work(folder: Path) -> Path:
            with logged_traceback(folder / f"{tree.hydra.job.name}.log"), notes_shown():
                shown_run(prepared, opened)
            return folder

        try:
            return call_as_job(tree, named or path, work)
        finally:
            opened.close()


@contextmanager
def logged_traceback(log: Path) -> Iterator[None]:
    """Say of an error that nobody expected where its traceback is."""
    try:
        yield
    except ClrunError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in NO_STORAGE:
            raise  # clrun.cli.main finds out what could not be written
        hint = f" (the traceback is in {log})" if log.is_file() else ""
        raise ClrunError(f"{type(error).__name__}: {error}{hint}") from error


def shown_run(
    prepared: Prepared,
    folder: RunFolder,
    *,
    resumed: dict[str, Any] | None = None,
    is_latest: bool = True,
) -> None:
    """Run in this folder, or go on there, showing how it goes and what came out."""
    start = time.monotonic()
    config, console = prepared.config, make_console()
    for note in all_notes(prepared):
        show_note(note)
    display = make_display(console)
    title = f"{config.label()} on {prepared.device.name}: {config.nodes['model'].option}"
    display.title(title if resumed is None else f"{title}, continued{_place(resumed)}")
    try:
        results = run(prepared, folder, display, resumed=resumed, is_latest=is_latest)
    finally:
        display.close()
    seconds, stream = time.monotonic() - start, prepared.evaluation.config.stream
    print_results(console, results, folder.path, seconds, stream)
    if config.root.report and not is_job(folder.path):
        with no_search(tricks=config.tricks):
            line = report_line(folder.path)
        console.print(Text(line), soft_wrap=True)


def _place(resumed: dict[str, Any]) -> str:
    """Where a saved state stands, as the display counts."""
    learnt, (epoch, iteration) = resumed["experience"] + resumed["is_learnt"], resumed["start"]
    if resumed["is_learnt"] or not (epoch or iteration):
        return f" after experience {learnt}" if learnt else " before experience 1"
    return f" in experience {learnt + 1}, epoch {epoch + 1}"


class _NoteHandler(logging.Handler):
    """Shows what the run itself finds worth a line."""

    def emit(self, record: logging.LogRecord) -> None:
        show_note(record.getMessage())


@contextmanager
def notes_shown() -> Iterator[None]:
    """Show notes that are logged inside the block; the log has them too."""
    logger, handler = logging.getLogger("clrun.note"), _NoteHandler()
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
