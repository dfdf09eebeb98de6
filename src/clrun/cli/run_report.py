"""The page that a run or a sweep leaves behind when it ends."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from rich.text import Text

from clrun.console.display import make_console
from clrun.console.visible import one_line
from clrun.errors import ClrunError
from clrun.sweep.folder import SweepFolder
from clrun.sweep.manifest import each_job

log = logging.getLogger("clrun")


def report_line(folder: Path) -> str:
    """Write the page of a run that has just ended; where it is, or why there is none, in a line.

    The run is over and its results are written: nothing that happens here may change that.
    """

    def write() -> Path:
        from clrun.cli.report import write_run_page  # with what makes pages, which takes 0.1 s

        return write_run_page(folder)

    return _line(write, folder)


def tell_sweep_report(folder: Path) -> None:
    """Write the page of a sweep as far as it is, and say where it is, unless none is wanted or no
    job is over yet, as where an engine does them later."""
    if not SweepFolder(folder).inner_names("outcomes") or not _is_wanted(folder):
        return

    def write() -> Path:
        from clrun.cli.report import write_sweep_page

        return write_sweep_page(folder)

    make_console().print(Text(_line(write, folder)), soft_wrap=True)


def _is_wanted(folder: Path) -> bool:
    """Whether the first job says so, as all do."""
    first = next(each_job(folder), None)
    return first is not None and bool(first.config["root"].get("report", True))


def _line(write: Callable[[], Path], folder: Path) -> str:
    try:
        return f"Report: {write()}"
    except Exception as error:
        log.debug("the report failed", exc_info=True)
        kind = "" if isinstance(error, ClrunError) else f"{type(error).__name__}: "
        return one_line(f"No report: {kind}{error} (clrun report {folder} tries again)")
