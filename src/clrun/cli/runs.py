"""`clrun runs`: the runs and sweeps in a folder, and the removal of those that failed. No torch."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clrun.cli.parser import natural, verb_parser
from clrun.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from clrun.watch.entries import Entry
    from clrun.watch.lines import Line
    from clrun.watch.picked import Picks

EPILOG = """\
A sweep is one row, with how many of its jobs are in which state; its own folder lists
its jobs. The accuracy of a run that is not completed is over the experiences so far.
`--rm` removes single runs that failed, or died without a word: nothing that runs,
completed, was interrupted or is a job of a sweep, and no link is followed."""

SHOWN = 50
"""Rows on a screen unless --limit says otherwise"""


def main(argv: Sequence[str]) -> int:
    """List runs, or remove failed ones; the exit code.

    Raises:
        ConfigError: there is no such folder, or an option is wrong.
        StorageError: a run cannot be removed.
    """
    arguments = _parser().parse_args(argv)
    from clrun.watch.entries import entries_in

    top = Path(arguments.folder).expanduser()
    picks = _picks(arguments)
    entries = [each for each in entries_in(top) if all(picked(each) for picked in picks)]
    if arguments.rm:
        return _remove(entries, top, arguments)
    limit = arguments.limit
    if arguments.json:
        from clrun.watch.lines import line

        found = [line(entry).plain() for entry in entries[: limit or None]]
        print(json.dumps(found, indent=2, allow_nan=False))
    else:
        _show(entries, top, SHOWN if limit is None else limit)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = verb_parser(
        "runs", description="The runs and sweeps in a folder, newest first.", epilog=EPILOG
    )
    parser.add_argument(
        "folder", nargs="?", default="outputs", metavar="FOLDER", help="where they are (outputs)"
    )
    parser.add_argument(
        "--status",
        action="append",
        default=[],
        help="only completed, running, failed, died or interrupted ones; may be given again",
    )
    parser.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="only those with e.g. strategy=replay, benchmark=digits, strategy.lr=0.1, seed=3",
    )
    parser.add_argument(
        "--since", metavar="WHEN", help="only those started since a day, 2026-11-28, or in 12h, 7d"
    )
    parser.add_argument(
        "--limit", type=natural, metavar="N", help=f"at most so many ({SHOWN}; all as JSON); 0: all"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, a record for each")
    parser.add_argument("--rm", action="store_true", help="remove those that failed or died")
    parser.add_argument("--yes", action="store_true", help="with --rm: do not ask")
    return parser


def _picks(arguments: argparse.Namespace) -> list[Picks]:
    from clrun.sweep.progress import STATES
    from clrun.watch.picked import since, where, with_status

    wrong = [state for state in arguments.status if state not in (*STATES, "unknown")]
    if wrong:
        raise ConfigError(f"--status={wrong[0]}: must be one of {', '.join(STATES)}.")
    if arguments.rm and (arguments.json or arguments.limit is not None):
        raise ConfigError("--rm: shows what it removes; leave out --json and --limit.")
    if arguments.yes and not arguments.rm:
        raise ConfigError("--yes: is for --rm alone.")
    picks = [with_status(arguments.status)] if arguments.status else []
    if arguments.since is not None:
        picks.append(_read("--since", since, arguments.since))
    return [*picks, *(_read("--where", where, text) for text in arguments.where)]


def _read(option: str, read: Callable[[str], Picks], text: str) -> Picks:
    try:
        return read(text)
    except ValueError as error:
        raise ConfigError(f"{option}={error}.") from None


def _show(entries: Sequence[Entry], top: Path, limit: int) -> None:
    from clrun.console.display import make_console
    from clrun.watch.lines import line
    from clrun.watch.table import print_lines

    console = make_console()
    shown = entries[: limit or None]
    if shown:
        print_lines(console, [line(entry) for entry in shown], top)
        left = len(entries) - len(shown)
        if left:
            _say(console, f"and {left:,} older: --limit 0 shows all")
    else:
        _say(console, f"{top}: no such run.")


def _remove(entries: Sequence[Entry], top: Path, arguments: argparse.Namespace) -> int:
    from clrun.console.display import make_console
    from clrun.watch.lines import line
    from clrun.watch.removal import removable, remove
    from clrun.watch.table import print_lines, size

    console = make_console()
    lines = [line(entry) for entry in removable(entries)]
    if not lines:
        _say(console, f"{top}: no failed run to remove.")
        return 0
    print_lines(console, lines, top)
    if not (arguments.yes or _is_wanted(lines, size(sum(each.bytes for each in lines)))):
        _say(console, "nothing was removed.")
        return 0
    removed, freed = 0, 0
    for each in lines:
        left = remove(each.entry.folder, top)
        if left is not None:
            _say(console, f"{each.entry.folder}: {left}, and is left.")
        else:
            removed, freed = removed + 1, freed + each.bytes
    _say(console, f"removed {_runs(removed)}, {size(freed)}.")
    return 0


def _is_wanted(lines: Sequence[Line], bytes_of_all: str) -> bool:
    """Ask whether these are to be removed."""
    if not sys.stdin.isatty():
        raise ConfigError("--rm: asks first, and there is nobody to ask. Add --yes to go on.")
    can_go_on = sum(each.entry.can_go_on for each in lines)
    lost = f"; clrun resume could go on with {can_go_on} of them" if can_go_on else ""
    answer = input(f"Remove {_runs(len(lines))}, {bytes_of_all}{lost}? [y/N] ")
    return answer.strip().lower() in ("y", "yes")


def _runs(count: int) -> str:
    return f"{count:,} run{'' if count == 1 else 's'}"


def _say(console: Console, text: str) -> None:
    from rich.text import Text

    console.print(Text(text), soft_wrap=True)
