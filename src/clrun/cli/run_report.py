"""The page that a run leaves behind when it ends."""

from __future__ import annotations

import logging
from pathlib import Path

from clrun.console.visible import one_line
from clrun.errors import ClrunError

log = logging.getLogger("clrun")


def report_line(folder: Path) -> str:
    """Write the page of a run that has just ended; where it is, or why there is none, in a line.

    The run is over and its results are written: nothing that happens here may change that.
    """
    try:
        from clrun.cli.report import write_run_page  # with what makes pages, which takes 0.1 s

        return f"Report: {write_run_page(folder)}"
    except Exception as error:
        log.debug("the report failed", exc_info=True)
        kind = "" if isinstance(error, ClrunError) else f"{type(error).__name__}: "
        return one_line(f"No report: {kind}{error} (clrun report {folder} tries again)")
