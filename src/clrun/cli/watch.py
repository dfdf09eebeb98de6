"""`clrun watch`: a run or a sweep in the terminal while it goes on. No torch here."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from clrun.cli.parser import folder_parser
from clrun.errors import ConfigError
from clrun.runner.interrupt import Stop

EPILOG = """\
It reads the folder alone, from any host that sees it, and ends by itself when the run
or the sweep does, which it says; Ctrl-C leaves it before, and touches nothing. Into a
pipe or a file it prints a line when something changed."""

LEAST_SECONDS = 0.1


def main(argv: Sequence[str]) -> int:
    """Show what lies in a folder; the exit code.

    Raises:
        ConfigError: there is neither a run nor a sweep.
    """
    parser = folder_parser(
        "watch",
        description="A running or finished run or sweep, live in the terminal.",
        epilog=EPILOG,
        metavar="DIR",
        meaning="the folder of a run or a sweep",
    )
    parser.add_argument(
        "--every", metavar="SECONDS", type=_seconds, default=1.0, help="between two looks (1)"
    )
    parser.add_argument("--once", action="store_true", help="show it as it is now, and end")
    arguments = parser.parse_args(argv)
    folder: Path = arguments.folder
    if not folder.is_dir():
        raise ConfigError(f"{folder}: there is no such folder.")
    from clrun.console.display import make_console
    from clrun.sweep.folder import is_sweep

    if is_sweep(folder):
        from clrun.watch.sweep import watch_sweep as watch
    elif (folder / "run.json").exists():
        from clrun.watch.run import watch_run as watch
    else:
        raise ConfigError(
            f"{folder}: holds neither a run nor a sweep: there is no run.json or sweep.jsonl in it."
        )
    try:
        watch(folder, make_console(), arguments.every, once=arguments.once)
    except Stop as stop:
        print("clrun: not watched any more; nothing else was touched.", file=sys.stderr)
        return 128 + stop.number
    return 0


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not LEAST_SECONDS <= value < 86_400:
        raise argparse.ArgumentTypeError(
            f"{text}: must be a number of seconds of at least {LEAST_SECONDS}"
        )
    return value
