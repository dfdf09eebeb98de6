"""Side-by-side benchmarks: clrun, a loop written by hand and Avalanche, each in a fresh process.

    scripts/bench --list
    scripts/bench --case ar1_3x120,mlp_reservoir --against raw --repeats 5
    scripts/bench --against avalanche --data-root DIR    # DIR/FashionMNIST/raw, else digits
    scripts/bench table outputs/bench/*.json             # the table of the README

Sides take turns, A B A B. Results go to outputs/bench/CASE.json after every process, and what an
interrupted bench has measured is not measured again, unless the code or a setting has changed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from fnmatch import fnmatch
from pathlib import Path

import table
from cases import Case, cases
from data import images
from processes import ROOT, Bench, python_of
from records import Record


def main() -> None:
    if sys.argv[1:2] == ["table"]:
        print(table.markdown([Path(name) for name in sys.argv[2:]]))
        return
    options = arguments()
    chosen = selected(options.case, options.skip)
    if options.list:
        for case in chosen:
            print(f"{case.name:<24} {'+'.join(case.sides):<22} {case.about}")
        return
    opponents = {"avalanche": {"raw", "avalanche"}, "raw": {"raw"}, "none": set()}[options.against]
    python = python_of(with_avalanche="avalanche" in opponents)
    source = images(options.data_root)
    with tempfile.TemporaryDirectory(prefix="clrun-bench-") as work:
        bench = Bench(Path(work), source, python, options.threads)
        for case in chosen:
            if "parity" in case.sides and "avalanche" not in opponents:
                continue
            sides = [s for s in case.sides if s in opponents or s not in ("raw", "avalanche")]
            record = Record.open(options.output, case, options.threads, source.name)
            print(f"{case.name}: {case.about}", flush=True)
            bench.run(case, sides, options.repeats, record)
            print(table.lines_of(record.content), flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add("--list", action="store_true", help="name the cases and stop")
    add("--case", default="", metavar="NAME[,NAME]", help="only these; a pattern such as mlp*")
    add("--skip", default="", metavar="NAME[,NAME]", help="not these")
    add("--against", choices=["avalanche", "raw", "none"], default="raw", help="whom clrun meets")
    add("--repeats", type=int, default=5, help="turns of every side (default 5)")
    add("--threads", type=int, default=1, help="CPU threads of every side (default 1)")
    add("--data-root", type=Path, help="folder with FashionMNIST/raw; without it, digits enlarged")
    add("--output", type=Path, default=ROOT / "outputs" / "bench", help="where results go")
    options = parser.parse_args()
    if options.repeats < 1 or options.threads < 1:
        parser.error("--repeats and --threads are at least 1.")
    return options


def selected(names: str, skipped: str) -> list[Case]:
    """The cases that are named; all where none is.

    Raises:
        SystemExit: there is no such case.
    """
    wanted, unwanted = ([n for n in text.split(",") if n] for text in (names, skipped))
    for name in [*wanted, *unwanted]:
        if not any(fnmatch(case.name, name) for case in cases()):
            raise SystemExit(f"--case {name}: no such case. See scripts/bench --list.")
    return [
        case
        for case in cases()
        if any(fnmatch(case.name, name) for name in wanted or ["*"])
        and not any(fnmatch(case.name, name) for name in unwanted)
    ]


if __name__ == "__main__":
    main()
