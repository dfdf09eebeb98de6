"""`clrun plot`: a figure for a paper, from runs that are done. No torch here."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clrun.cli.parser import OneLineParser
from clrun.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from clrun.plot.figures import Drawn
    from clrun.records.alike import Method

WHAT = ("matrix", "curves", "pareto")
AGAINST = ("bytes", "kept", "macs", "seconds")
SIZES = ("column", "page")
ENDINGS = (".png", ".svg", ".pdf")

EPILOG = """\
matrix is the accuracy on each experience after learning each; curves the mean over the
experiences so far; pareto the accuracy against a cost, and the front of those that none
beats in both. Runs that differ in their seeds alone are one method: what is drawn is
their mean, with its 95 % interval (Student's t). The same runs give the same bytes."""


def main(argv: Sequence[str]) -> int:
    """Draw a figure of runs; the exit code.

    Raises:
        ConfigError: there are no runs, or the file cannot be written there.
    """
    arguments = _parser().parse_args(list(argv))
    path = _place(arguments)
    from clrun.sweep.methods import methods_in

    methods = methods_in(arguments.folders, "plot")
    if not methods.shown:
        raise ConfigError(f"{' '.join(arguments.folders)}: no run completed yet.")
    from clrun.disk.files import storage_errors
    from clrun.plot.figure_file import write_figure  # matplotlib takes half a second
    from clrun.plot.looks import COLUMN, PAGE

    drawn = _drawn(arguments, methods.shown)
    for note in (*methods.notes(), *drawn.notes):
        print(f"clrun: note: {note}", file=sys.stderr)
    if arguments.output is None:
        with storage_errors(path.parent):
            path.parent.mkdir(exist_ok=True)
    write_figure(path, lambda: drawn.draw(PAGE if arguments.size == "page" else COLUMN))
    print(f"{arguments.what}: {path.absolute()}")
    return 0


def _parser() -> OneLineParser:
    from argparse import RawDescriptionHelpFormatter

    parser = OneLineParser(
        prog="clrun plot",
        usage="clrun plot DIR... --what matrix|curves|pareto [--output FILE] [--size column|page]\n"
        "                  [--against bytes|kept|macs|seconds] [--metric KEY]",
        description="Draw a figure for a paper: PNG, SVG or PDF, of a run, a sweep or several.",
        epilog=EPILOG,
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("folders", nargs="+", metavar="DIR", help="of a run, a sweep or many runs")
    parser.add_argument("--what", choices=WHAT, required=True, help="what is drawn")
    parser.add_argument(
        "--output",
        metavar="FILE",
        help=".png, .svg or .pdf (DIR/plots/WHAT.png where one is named)",
    )
    parser.add_argument(
        "--size", choices=SIZES, default="column", help="as wide as a column (84 mm), or as a page"
    )
    parser.add_argument(
        "--against",
        choices=AGAINST,
        help="of pareto: the cost (bytes, of past data; kept: with parameters)",
    )
    parser.add_argument("--metric", metavar="KEY", help="of pareto: the accuracy (acc_final)")
    return parser


def _place(arguments: Namespace) -> Path:
    """The file to write.

    Raises:
        ConfigError: it cannot be written, or an option is given that this figure has not.
    """
    for option in ("against", "metric"):
        if arguments.what != "pareto" and (given := getattr(arguments, option)) is not None:
            raise ConfigError(f"--{option}={given}: belongs to --what=pareto.")
    if arguments.metric is not None:
        _require_metric(arguments.metric)
    if arguments.output is None and len(arguments.folders) > 1:
        raise ConfigError("--output: several folders were named. Name the file to write, too.")
    if arguments.output is None:
        return Path(arguments.folders[0]) / "plots" / f"{arguments.what}.png"
    path = Path(arguments.output)
    if problem := _problem_with(path):
        raise ConfigError(f"--output={path}: {problem}")
    return path


def _require_metric(key: str) -> None:
    from clrun.metrics.table import all_metrics

    metric = all_metrics().get(key)
    if metric is None:
        raise ConfigError(
            f"--metric={key}: there is no such metric.{did_you_mean(key, list(all_metrics()))} "
            "See clrun list metrics."
        )
    if metric.better == "lower":
        raise ConfigError(f"--metric={key}: lower is better. Name one where higher is better.")


def _drawn(arguments: Namespace, methods: Sequence[Method]) -> Drawn:
    from clrun.plot.figures import accuracies, fronts, matrices

    if arguments.what == "matrix":
        return matrices(methods)
    if arguments.what == "curves":
        return accuracies(methods)
    return fronts(methods, arguments.against or "bytes", arguments.metric)


def _problem_with(path: Path) -> str | None:
    """Why no figure can be written there, before anything is read; None where it can."""
    if path.suffix.lower() not in ENDINGS:
        return f"must end in {', '.join(ENDINGS)}, which says what it is."
    if path.is_dir():
        return "is a folder. Name a file."
    if not path.parent.is_dir():
        return f"there is no folder {path.parent.absolute()}."
    if not os.access(path.parent, os.W_OK | os.X_OK):
        return f"{path.parent.absolute()} is not writable."
    return None
