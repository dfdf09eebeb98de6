"""`clrun report`: a page of what a run found, in one file. No torch here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from clrun.cli.parser import OneLineParser
from clrun.errors import ConfigError


def main(argv: Sequence[str]) -> int:
    """Write the page of each run; the exit code."""
    parser = OneLineParser(
        prog="clrun report",
        usage="clrun report DIR... [--against RUN] [--naive RUN] [--joint RUN]",
        description="One self-contained page for each run: report.html in its folder. It opens "
        "from a disk and asks the network for nothing.",
        allow_abbrev=False,
    )
    parser.add_argument("folders", nargs="+", metavar="DIR", help="of a run, or of many runs")
    parser.add_argument("--against", metavar="RUN", help="a run to show the difference to")
    parser.add_argument("--naive", metavar="RUN", help="a naive run of the same stream: the floor")
    parser.add_argument(
        "--joint", metavar="RUN", help="a joint run of the same stream: the ceiling"
    )
    arguments = parser.parse_args(argv)
    from clrun.records.past_run import runs_in

    folders = [place for folder in arguments.folders for place in runs_in(folder, "report")]
    others = {
        name: _named(name, getattr(arguments, name)) for name in ("against", "naive", "joint")
    }
    for folder in folders:
        print(write_run_page(folder, **others))
    return 0


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
        raise ConfigError(f"--{name} {folder}: holds no run: there is no run.json in it.")
    return path
