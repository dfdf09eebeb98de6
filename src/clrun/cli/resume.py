"""`clrun resume`: go on with a run, or with a sweep. No torch before there is a run."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from clrun.cli.parser import folder_parser
from clrun.console.waiting import waiting
from clrun.errors import ConfigError
from clrun.fast.garbage import no_search

EPILOG = """\
It goes on from the newest state in DIR/checkpoints, and gives the numbers that
the run would have given. So it takes the device and the threads that the run
had, and is refused where the data, clrun's sources, a version or the machine
are not what they were, unless you say --force. A finished run stays as it is.
Of a sweep the jobs are done that are missing, and those that failed are gone on
with if you say --retry-failed; the exit code is 1 if one is not completed then.
--trust lets the run name code that is neither clrun's nor installed options'."""


def main(argv: Sequence[str]) -> int:
    """Go on with the run in a folder; the exit code.

    Raises:
        ClrunError: there is nothing to go on with, or the run failed.
    """
    parser = folder_parser(
        "resume",
        description="Go on with a run that was interrupted, killed or failed, or with a sweep.",
        epilog=EPILOG,
        metavar="DIR",
        meaning="the folder of the run or sweep",
    )
    parser.add_argument("--force", action="store_true", help="also where its numbers will differ")
    parser.add_argument("--retry-failed", action="store_true", help="a sweep's failed jobs, too")
    arguments = parser.parse_args(argv)
    folder: Path = arguments.folder
    several = _several(folder, arguments)
    if several is not None:
        return several
    from clrun.records.unfinished import open_unfinished  # with pydantic, which a help does without

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


def _several(folder: Path, arguments: argparse.Namespace) -> int | None:
    """Go on with a study or a sweep; the exit code. None where it is neither.

    Raises:
        ConfigError: it is no sweep, and was said to be one.
    """
    from clrun.sweep.folder import is_sweep  # 40 ms, which a help does without
    from clrun.sweep.tuning.record import is_study

    if is_study(folder):
        from clrun.cli.tune import go_on as go_on_tuning

        return go_on_tuning(folder, force=arguments.force, retry_failed=arguments.retry_failed)
    if is_sweep(folder):
        return _go_on_with_sweep(folder, arguments)
    if arguments.retry_failed:
        raise ConfigError(f"--retry-failed: {folder} holds no sweep. Leave it out.")
    return None


def _go_on_with_sweep(folder: Path, arguments: argparse.Namespace) -> int:
    """Do what is missing of a sweep; the exit code."""
    from clrun.cli.run_report import tell_sweep_report
    from clrun.sweep.record import read_record
    from clrun.sweep.rounds import grow  # with Hydra
    from clrun.sweep.start import run_sweep

    options, force = read_record(folder).options, arguments.force
    code = run_sweep(
        folder,
        options,
        retry_failed=arguments.retry_failed,
        force=force,
        more=lambda: grow(folder, lambda line: print(line, flush=True), force=force),
    )
    tell_sweep_report(folder)
    return code
