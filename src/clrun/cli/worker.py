"""`clrun worker`: do what is missing of a sweep, beside any other workers. No torch here."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

from clrun.cli.parser import OneLineParser
from clrun.runner.interrupt import Interrupted

EPILOG = """\
Any number of workers may do the same sweep at once, on every host that sees its
folder, and may be started and killed at any time: each job is one worker's at a
time, and one whose worker died is gone on with. It ends when nothing is left for
any worker; the exit code is 1 if a job of its own failed.
--trust lets the jobs name code that is neither clrun's nor installed options'."""


def main(argv: Sequence[str]) -> int:
    """Work on the sweep in a folder; the exit code.

    Raises:
        ClrunError: there is no sweep, or its folder cannot be written.
        Interrupted: a signal ended it.
    """
    parser: argparse.ArgumentParser = OneLineParser(
        prog="clrun worker",
        description="Do what is missing of a sweep.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("folder", metavar="SWEEP", type=Path, help="the folder of the sweep")
    parser.add_argument("--slots", metavar="N", type=_count, help="jobs at a time")
    parser.add_argument("--retry-failed", action="store_true", help="go on with failed jobs, too")
    arguments = parser.parse_args(argv)
    return work(
        arguments.folder.expanduser().resolve(),
        slots=arguments.slots,
        retry_failed=arguments.retry_failed,
    )


def work(path: Path, *, slots: int | None, retry_failed: bool) -> int:
    """Work on a sweep with a line for each job; the exit code.

    Raises:
        ClrunError, Interrupted: as `main`.
    """
    from clrun.sweep.manifest import read_manifest  # with what a help does without
    from clrun.sweep.record import read_record
    from clrun.sweep.slots import slots_here
    from clrun.sweep.worker import Worker

    options, jobs = read_record(path).options, read_manifest(path)
    number = slots or slots_here(options, jobs)
    worked = Worker(path, number, options, show, retry_failed=retry_failed).run()
    if worked.signal is not None:
        how = f"To go on: clrun resume {shlex.quote(str(path))}."
        raise Interrupted(worked.signal, f"The running jobs have saved their state. {how}")
    return int(worked.failed > 0)


def show(event: object) -> None:
    """Print a line for what happened to a job, or to what jobs share."""
    from clrun.sweep.events import Ended, Noted, Retried

    match event:
        case Ended(name=name, outcome=outcome):
            reason = "" if outcome.reason is None else f": {outcome.reason}"
            print(f"{name}: {outcome.status} in {outcome.seconds:.1f} s{reason}", flush=True)
        case Retried(name=name, reason=reason, attempt=attempt):
            print(f"{name}: attempt {attempt} {reason}. It goes on.", flush=True)
        case Noted(text=text):
            print(f"clrun: note: {text}", flush=True)


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text}: must be a whole number of at least 1")
    return int(text)
