"""`clrun status`: how a sweep stands, by its folder and its engine's queue. No torch here."""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clrun.cli.parser import folder_parser
from clrun.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from clrun.sweep.status import Status
    from clrun.sweep.tuning.standing import Standing

EPILOG = """\
It reads the folder alone, from any host that sees it, and asks Slurm where its
workers are if the sweep was started there. Nothing that a job needs is touched. Of
a sweep that is over, sweep.csv and index.sqlite are written again if they are
missing, damaged or old. What is found changes no exit code."""

MINUTE = 60.0


def main(argv: Sequence[str]) -> int:
    """Say how the sweep or the run in a folder stands; the exit code.

    Raises:
        ConfigError: there is neither.
    """
    parser = folder_parser(
        "status",
        description="How a sweep stands: what is queued, running, done, failed and why.",
        epilog=EPILOG,
        metavar="SWEEP",
        meaning="the folder of a sweep or a run",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, a record for each job")
    parser.add_argument("--failed", action="store_true", help="only what failed, and its logs")
    parser.add_argument(
        "--stuck-after",
        metavar="MINUTES",
        type=_minutes,
        default=10.0,
        help="a job whose log says nothing for so long is called stuck (10)",
    )
    arguments = parser.parse_args(argv)
    path: Path = arguments.folder
    if not path.is_dir():
        raise ConfigError(f"{path}: there is no such folder.")
    from clrun.sweep.folder import is_sweep

    if not is_sweep(path):
        return _without_manifest(path, as_json=arguments.json)
    from clrun.sweep.status import read_status

    status = read_status(path)
    if arguments.json:
        _print_json(status.plain())
    elif arguments.failed:
        _show_failed(status)
    else:
        _show(status, arguments.stuck_after * MINUTE)
    return 0


def _show(status: Status, stuck_after: float) -> None:
    from clrun.console.display import make_console
    from clrun.sweep.status import failed_lines, running_lines, unfinished_lines

    console = make_console()
    if status.are_over():
        _show_end(console, status)
        return
    counts = ", ".join(f"{count} {state}" for state, count in status.counts().items())
    jobs = f"{len(status.jobs)} job{'' if len(status.jobs) == 1 else 's'}"
    _line(console, f"{jobs}: {counts}." if counts else f"{jobs}.", "bold")
    for text, is_stuck in running_lines(status, stuck_after):
        _line(console, text, "bold yellow" if is_stuck else "")
    for text in unfinished_lines(status):
        _line(console, text, "yellow")
    for text in failed_lines(status):
        _line(console, text, "bold red")
    study = [] if status.study is None else status.study.lines()
    for text in (*study, *status.engine, status.way_on()):
        if text:
            _line(console, text)


def _show_end(console: Console, status: Status) -> None:
    from clrun.console.sweep_table import print_sweep
    from clrun.sweep.summary import current

    if status.study is not None:
        _show_study(console, status, status.study)
        return
    outcomes = [row.outcome for row in current(status.path, status.jobs)]
    print_sweep(console, outcomes, status.path, None, way_on=status.way_on())


def _show_study(console: Console, status: Status, end: Standing) -> None:
    from clrun.console.trials_table import print_trials

    print_trials(console, end.trials(), end.study.metric, end.study.better)
    for text in (*end.lines(), f"Results: {status.path}", status.way_on()):
        if text:
            _line(console, text)


def _show_failed(status: Status) -> None:
    from clrun.console.display import make_console
    from clrun.sweep.status import failed_details

    console = make_console()
    lines = list(failed_details(status))
    for text in lines or ["No job failed."]:
        _line(console, text)


def _without_manifest(path: Path, *, as_json: bool) -> int:
    """Say what there is to say of a single run, or of a sweep that has no manifest."""
    from clrun.records.run_folder import run_status

    if run_status(path) is not None:
        return _run(path, as_json=as_json)
    runs = sorted(place.parent for place in path.glob("*/run.json"))
    if not runs and not (path / "multirun.yaml").exists():
        raise ConfigError(f"{path}: holds neither a sweep nor a run.")
    states = {run.name: run_status(run) for run in runs}
    counts = Counter(states.values())
    if as_json:
        _print_json({"folder": str(path), "counts": counts, "runs": states})
        return 0
    said = ", ".join(f"{count} {state}" for state, count in counts.items()) or "none was begun"
    print(f"{path}: a sweep without a manifest, so that only what was begun is known.")
    print(f"{len(runs)} run{'' if len(runs) == 1 else 's'}: {said}.")
    for name, state in states.items():
        if state != "completed":
            print(f"{state}  {path / name}")
    return 0


def _run(path: Path, *, as_json: bool) -> int:
    from clrun.console.display import make_console
    from clrun.sweep.progress import run_state
    from clrun.sweep.status import run_lines

    state = run_state(path)
    if as_json:
        _print_json({**asdict(state), "folder": str(path)})
        return 0
    console = make_console()
    for text in run_lines(path, state):
        _line(console, text)
    return 0


def _line(console: Console, text: str, style: str = "") -> None:
    from rich.text import Text

    from clrun.console.visible import visible

    console.print(Text(visible(text), style=style), soft_wrap=True)


def _print_json(content: Any) -> None:
    print(json.dumps(content, indent=2, allow_nan=False))


def _minutes(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text}: must be a number of minutes above 0")
    return value
