"""`clrun metrics`: every metric of a run again from what it measured, without torch."""

from __future__ import annotations

import json
import os
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clrun.cli.parser import OneLineParser

if TYPE_CHECKING:
    from clrun.records.measured import Measured


def main(argv: Sequence[str]) -> int:
    """Compute metrics again, of a run or of all runs in a folder."""
    parser = OneLineParser(
        prog="clrun metrics",
        usage="clrun metrics DIR... [--joint RUN] [--naive RUN] [--json]",
        description="All metrics of a run, computed again from its metrics.jsonl; of one that did "
        "not finish, for the experiences that it finished. Of several runs or a folder of them, "
        "such as a sweep: a table.",
        allow_abbrev=False,
    )
    parser.add_argument("folders", nargs="+", metavar="DIR", help="of a run, a sweep or many runs")
    parser.add_argument("--joint", metavar="RUN", help="a joint (or cumulative) run of the stream")
    parser.add_argument("--naive", metavar="RUN", help="a naive run of the same stream")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args(argv)
    from clrun.records.past_run import runs_in

    places = [place for folder in arguments.folders for place in runs_in(folder, "metrics")]
    runs = list(_measured(places, arguments))
    if arguments.json:
        found = [_plain(run) for run in runs]
        one = len(found) == 1 and places == [Path(arguments.folders[0])]
        print(json.dumps(found[0] if one else found, indent=2, allow_nan=False))
    elif len(runs) == 1:
        _show_one(runs[0])
    else:
        _show_all(runs)
    return 0


def _measured(places: Sequence[Path], arguments: Namespace) -> Iterator[Measured]:
    from clrun.records.measured import read_measured

    def other(folder: str | None) -> Measured | None:
        return None if folder is None else read_measured(Path(folder))

    joint, naive = other(arguments.joint), other(arguments.naive)
    for place in places:
        yield read_measured(place).beside(joint=joint, naive=naive)


def _plain(run: Measured) -> dict[str, Any]:
    """A run as JSON."""
    import numpy as np

    from clrun.metrics import computed

    metrics, notes = computed(run.measurements)
    last = np.asarray(run.measurements.class_accuracy, dtype=np.float64)[-1:].ravel().tolist()
    confusion = run.measurements.confusion
    return {
        "folder": str(run.folder),
        "status": run.status,
        "label": run.label,
        "experiences": run.experiences,
        "of": run.total,
        "metrics": metrics,
        "notes": notes,
        "class_names": run.class_names,
        "class_accuracy": [None if value != value else value for value in last],
        "confusion": None if confusion is None else np.asarray(confusion).tolist(),
    }


def _show_one(run: Measured) -> None:
    import numpy as np

    from clrun.console.diagnosis import print_quiet
    from clrun.console.display import make_console
    from clrun.console.measured import print_classes, print_metrics
    from clrun.metrics import computed

    console, measured = make_console(), run.measurements
    print_quiet(console, f"{run.label}: {run.status}, {_finished(run)}", "bold")
    print_metrics(console, *computed(measured))
    table = np.asarray(measured.class_accuracy, dtype=np.float64)
    if table.size:
        print_classes(console, run.class_names, table[-1], measured.confusion)


def _show_all(runs: Sequence[Measured]) -> None:
    from clrun.console.display import make_console
    from clrun.console.measured import Row, print_rows
    from clrun.metrics import computed

    top = os.path.commonpath([run.folder.parent for run in runs])
    rows = [
        Row(os.path.relpath(run.folder, top), _of(run), *computed(run.measurements)) for run in runs
    ]
    print_rows(make_console(), rows)


def _finished(run: Measured) -> str:
    """How far a run came."""
    return f"{_of(run)} experiences finished"


def _of(run: Measured) -> str:
    return str(run.experiences) if run.total is None else f"{run.experiences} of {run.total}"
