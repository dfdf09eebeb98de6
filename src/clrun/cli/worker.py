"""`clrun worker`: do what is missing of a sweep, beside any other workers. No torch here."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clrun.cli.parser import folder_parser

if TYPE_CHECKING:
    from clrun.sweep.events import Event

EPILOG = """\
Any number of workers may do the same sweep at once, on every host that sees its
folder, and may be started and killed at any time: each job is one worker's at a
time, and one whose worker died is gone on with. It ends when nothing is left for
any worker; the exit code is 0 if every job of the sweep is completed, else 1.
--trust lets the jobs name code that is neither clrun's nor installed options'."""


def main(argv: Sequence[str]) -> int:
    """Work on the sweep in a folder; the exit code.

    Raises:
        ClrunError: there is no sweep, or its folder cannot be written.
        Interrupted: a signal ended it.
    """
    parser = folder_parser(
        "worker",
        description="Do what is missing of a sweep.",
        epilog=EPILOG,
        metavar="SWEEP",
        meaning="the folder of the sweep",
    )
    parser.add_argument("--slots", metavar="N", type=_count, help="jobs at a time")
    parser.add_argument("--retry-failed", action="store_true", help="go on with failed jobs, too")
    parser.add_argument("--force", action="store_true", help="also where numbers will differ")
    arguments = parser.parse_args(argv)
    from clrun.console.sweep_table import counted  # with what a help does without
    from clrun.sweep.record import read_record
    from clrun.sweep.summary import finish
    from clrun.sweep.work import work

    path: Path = arguments.folder
    code = work(
        path,
        read_record(path).options,
        show,
        slots=arguments.slots,
        retry_failed=arguments.retry_failed,
        force=arguments.force,
    )
    print(counted([row.outcome for row in finish(path)]), flush=True)
    return code


def show(event: Event) -> None:
    """Print what happened, in a line."""
    from clrun.sweep.work import line_of

    line = line_of(event)
    if line is not None:
        print(line, flush=True)


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text}: must be a whole number of at least 1")
    return int(text)
