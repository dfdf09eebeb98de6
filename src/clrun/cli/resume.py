"""`clrun resume`: go on with a run that did not finish. No torch before there is one."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from clrun.cli.parser import OneLineParser
from clrun.console.waiting import waiting
from clrun.fast.garbage import no_search

EPILOG = """\
It goes on from the newest state in DIR/checkpoints, and gives the numbers that
the run would have given. So it takes the device and the threads that the run
had, and is refused where the data, clrun's sources, a version or the machine
are not what they were, unless you say --force. A finished run stays as it is.
--trust lets the run name code that is neither clrun's nor installed options'."""


def main(argv: Sequence[str]) -> int:
    """Go on with the run in a folder; the exit code.

    Raises:
        ClrunError: there is nothing to go on with, or the run failed.
    """
    parser: argparse.ArgumentParser = OneLineParser(
        prog="clrun resume",
        description="Go on with a run that was interrupted, killed or failed.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("folder", metavar="DIR", type=Path, help="the folder of the run")
    parser.add_argument("--force", action="store_true", help="also where its numbers will differ")
    arguments = parser.parse_args(argv)
    from clrun.records.unfinished import open_unfinished  # with pydantic, which a help does without
    from clrun.sweep.tuning.record import is_study

    folder = arguments.folder.expanduser().resolve()  # `latest` may lead elsewhere soon
    if is_study(folder):
        from clrun.cli.tune import go_on as go_on_tuning

        return go_on_tuning(folder, force=arguments.force)
    run = open_unfinished(folder)
    if run is None:
        print(f"{folder}: is finished.")
        return 0
    try:
        with waiting("loading PyTorch"), no_search(tricks=run.config.tricks):
            from clrun.cli.resumed_job import go_on  # torch: not before there is a run
        go_on(run, force=arguments.force)
    finally:
        run.folder.close()
    return 0
