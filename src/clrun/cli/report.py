"""`clrun report`: a page of runs or of a sweep in one file, or a table of them. No torch here."""

from __future__ import annotations

import sys
from argparse import Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from pathlib import Path

from clrun.cli.compare import require_file, write_comparison
from clrun.cli.parser import OneLineParser
from clrun.errors import ConfigError

FORMATS = ("md", "latex", "csv")
OTHERS = ("against", "naive", "joint")

EPILOG = """\
what is written:
  clrun report RUN              report.html in the run's folder
  clrun report SWEEP            report.html in the sweep's folder, also while it goes on
  clrun report outputs          one for each run and sweep below, jobs of sweeps left out
  clrun report DIR DIR          one that compares them: comparison.html here, or --output FILE;
                                clrun compare DIR DIR --html FILE has more options for it
  clrun report DIR --format md  a table on the screen, one row for each method with its mean
                                and 95 % interval, then what was done, in words for a paper

A page opens from a disk and asks the network for nothing."""


def main(argv: Sequence[str]) -> int:
    """Write the pages, or print the table; the exit code."""
    arguments = _parser().parse_args(argv)
    if arguments.format is not None:
        return _print_table(arguments)
    if len(arguments.folders) > 1:
        return _compare(arguments)
    for option in ("output", "anyway"):
        if getattr(arguments, option):
            raise ConfigError(f"--{option}: belongs to --format, or to several folders.")
    from clrun.sweep.methods import places_in

    others = {name: _named(name, getattr(arguments, name)) for name in OTHERS}
    for place in [place for folder in arguments.folders for place in places_in(folder, "report")]:
        print(_write_page(place, **others))
    return 0


def _parser() -> OneLineParser:
    parser = OneLineParser(
        prog="clrun report",
        usage="clrun report DIR... [--against RUN] [--naive RUN] [--joint RUN]\n"
        "       clrun report DIR DIR... [--anyway] [--output FILE]\n"
        "       clrun report DIR... --format md|latex|csv [--output FILE]",
        description="Pages of what runs and sweeps found, each in one file, or a table.",
        epilog=EPILOG,
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("folders", nargs="+", metavar="DIR", help="of a run, a sweep or many runs")
    parser.add_argument("--against", metavar="RUN", help="a run to show the difference to")
    parser.add_argument("--naive", metavar="RUN", help="a naive run of the same stream: the floor")
    parser.add_argument(
        "--joint", metavar="RUN", help="a joint run of the same stream: the ceiling"
    )
    parser.add_argument("--format", choices=FORMATS, help="print a table and no page")
    parser.add_argument("--output", metavar="FILE", help="write the table or comparison there")
    parser.add_argument("--anyway", action="store_true", help="compare also what is not alike")
    return parser


def _compare(arguments: Namespace) -> int:
    """Write the page that compares what lies in several folders."""
    _refuse_others(arguments)
    path = Path("comparison.html" if arguments.output is None else arguments.output)
    require_file("output", str(path))
    from clrun.compare.compared import compared_groups

    print(write_comparison(path, compared_groups(arguments.folders, anyway=arguments.anyway)))
    return 0


def _refuse_others(arguments: Namespace) -> None:
    for name in OTHERS:
        if getattr(arguments, name) is not None:
            raise ConfigError(f"--{name}={getattr(arguments, name)}: belongs to the page of a run.")


def _print_table(arguments: Namespace) -> int:
    """Print the table of all methods in the folders, and what was done."""
    _refuse_others(arguments)
    if arguments.output is not None:
        require_file("output", arguments.output)
    from clrun.report.table_text import table_text
    from clrun.sweep.methods import methods_in

    methods = methods_in(arguments.folders, "report")
    if not methods.shown:
        raise ConfigError(f"{' '.join(arguments.folders)}: no run completed yet.")
    for note in methods.notes():
        print(f"clrun: note: {note}", file=sys.stderr)
    text = table_text(methods.shown, arguments.format)
    if arguments.output is None:
        print(text, end="")
        return 0
    from clrun.disk.files import write_text

    write_text(Path(arguments.output), text)
    print(arguments.output)
    return 0


def _write_page(place: Path, **others: Path | None) -> Path:
    """The page of the sweep or the run in a folder."""
    from clrun.sweep.folder import is_sweep

    if not is_sweep(place):
        return write_run_page(place, **others)
    for name, run in others.items():
        if run is not None:
            raise ConfigError(f"--{name}={run}: belongs to a run. {place} is a sweep.")
    return write_sweep_page(place)


def write_sweep_page(folder: Path) -> Path:
    """Write the page of the sweep in a folder, as it stands now; the file.

    Raises:
        ConfigError: its manifest is damaged.
        StorageError: the page cannot be written.
    """
    from clrun.report.page import write_page
    from clrun.report.sweep_page import sweep_page

    return write_page(folder, sweep_page(folder))


def write_run_page(folder: Path, **others: Path | None) -> Path:
    """Write the page of the run in a folder; the file.

    Raises:
        ConfigError: there is no run, its log cannot be read, or a run beside it is of another
            stream.
        StorageError: the page cannot be written.
    """
    from clrun.records.past_run import read_run
    from clrun.report.beside import beside
    from clrun.report.page import write_page
    from clrun.report.run_page import run_page

    runs = beside(folder, **others)
    run = read_run(
        folder,
        joint=None if runs.joint is None else runs.joint.measured,
        naive=None if runs.naive is None else runs.naive.measured,
    )
    return write_page(folder, run_page(run, runs))


def _named(name: str, folder: str | None) -> Path | None:
    if folder is None:
        return None
    path = Path(folder)
    if not (path / "run.json").exists():
        of = next((below.parent for below in sorted(path.glob("*/run.json"))), None)
        way = "" if of is None else f" Name the folder of one of its runs, e.g. {of}."
        raise ConfigError(f"--{name} {folder}: holds no run: there is no run.json in it.{way}")
    return path
