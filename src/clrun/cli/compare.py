"""`clrun compare`: methods side by side, by the runs that both have. No torch here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clrun.cli.parser import OneLineParser, verb_parser
from clrun.errors import ConfigError

if TYPE_CHECKING:
    from clrun.compare.compared import Compared

FORMS = ("md", "latex", "csv")

EPILOG = """\
what is compared:
  clrun compare SWEEP                  each point of a sweep with every other
  clrun compare SWEEP --by selection   the values of one key, or of several: --by KEY,KEY
  clrun compare SWEEP1 SWEEP2          the points of several sweeps
  clrun compare RUN1 RUN2 RUN3 RUN4    runs; those that differ in their seed and class
                                       order alone are one method

Runs are paired by seed and class order, so that what both owe to a lucky seed cancels.
A method that is better is called so where an exact paired permutation test says p <
0.05, over all comparisons at once (Holm); else it says about how many more seeds would
settle it. Runs that are not alike (benchmark, class order, rows, data, what they are
scored on, bytes of memory, updates) are refused with what differs. What is unfinished,
failed, missing or without a partner is named."""


def main(argv: Sequence[str]) -> int:
    """Compare what lies in some folders; the exit code.

    Raises:
        ConfigError: there is nothing to compare, or it is not alike.
    """
    arguments = _parser().parse_args(argv)
    if arguments.html is not None:
        require_file("html", arguments.html)
    from clrun.compare.compared import compared_groups  # with numpy, which a help does without
    from clrun.compare.shown import as_text, print_comparison
    from clrun.console.display import make_console

    found = compared_groups(
        arguments.folders,
        by=[key for word in arguments.by for key in word.split(",") if key],
        metric=arguments.metric,
        baseline=arguments.baseline,
        anyway=arguments.anyway,
    )
    if arguments.html is not None:
        print(write_comparison(Path(arguments.html), found))
    elif arguments.json:
        print(json.dumps(found.plain(), indent=2, allow_nan=False))
    elif arguments.format is not None:
        print(as_text(found, arguments.format), end="")
    else:
        print_comparison(make_console(), found)
    return 0


def _parser() -> OneLineParser:
    parser = verb_parser(
        "compare",
        usage="clrun compare DIR... [--by KEY] [--metric KEY] [--baseline NAME] [--anyway] ...",
        description="Which method is better, by how much, and how sure that is.",
        epilog=EPILOG,
    )
    add = parser.add_argument
    add("folders", nargs="+", metavar="DIR", help="of a run, a sweep or several runs")
    add("--by", action="append", default=[], metavar="KEY", help="the key that tells methods apart")
    add("--metric", default="acc_final", metavar="KEY", help="what to compare by (acc_final)")
    add("--baseline", metavar="NAME", help="compare each other method with this one alone")
    add("--anyway", action="store_true", help="compare also what is not alike")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--format", choices=FORMS, help="print tables of Markdown, LaTeX or CSV")
    form.add_argument("--html", metavar="FILE", help="write a page, as clrun report DIR DIR does")
    return parser


def write_comparison(path: Path, found: Compared) -> Path:
    """Write the page of a comparison; the file.

    Raises:
        StorageError: it cannot be written.
    """
    from clrun.disk.files import write_text
    from clrun.report.compare_page import compare_page
    from clrun.report.page import render

    write_text(path, render(compare_page(found)))
    return path


def require_file(option: str, name: str) -> None:
    """Refuse a file that cannot be written, before anything is read.

    Raises:
        ConfigError: it is a folder, or in none.
    """
    path = Path(name)
    if not name or path.is_dir() or not path.parent.is_dir():
        raise ConfigError(f"--{option}={name}: is no file in a folder that is there.")
