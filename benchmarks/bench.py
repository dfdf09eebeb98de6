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
from pathlib import Path

import table
from cases import Case, cases
from data import images
from records import Record
from sides_run import Bench, python_of

ROOT = Path(__file__).absolute().parent.parent


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
    python = python_of(ROOT, with_avalanche="avalanche" in opponents)
    source = images(options.data_root)
    with tempfile.TemporaryDirectory(prefix="clrun-bench-") as work:
        bench = Bench(ROOT, Path(work), source, python, options.threads)
        for case in chosen:
            sides = [s for s in case.sides if s in opponents or s not in ("raw", "avalanche")]
            if case.name.startswith("parity") and "avalanche" not in opponents:
                continue
            record = Record.open(options.output, case, options.threads, source.name)
            print(f"{case.name}: {case.about}", flush=True)
            bench.run(case, sides, options.repeats, record)
            print(table.told(record.content), flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add("--list", action="store_true", help="name the cases and stop")
    add("--case", default="", metavar="NAME[,NAME]", help="only these; a name may end with *")
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
    every = cases()
    for name in filter(None, f"{names},{skipped}".split(",")):
        if not any(_named(case, name) for case in every):
            raise SystemExit(f"--case {name}: no such case. See scripts/bench --list.")
    wanted = [name for name in names.split(",") if name]
    unwanted = [name for name in skipped.split(",") if name]
    return [
        case
        for case in every
        if (not wanted or any(_named(case, name) for name in wanted))
        and not any(_named(case, name) for name in unwanted)
    ]


def _named(case: Case, name: str) -> bool:
    return case.name.startswith(name[:-1]) if name.endswith("*") else case.name == name


if __name__ == "__main__":
    main()
