"""Run published protocols and say of each number whether it is reached.

    scripts/reproduce [--data-root DIR] [--list] [--keep DIR] [--rows FILE] [NAME...]

    scripts/reproduce --data-root DIR 'fashion_*'
    scripts/reproduce --data-root DIR er_split_mnist fashion_slda

A row of reproduce_rows.yaml is an experiment, how many seeds its protocol has, what was published
and in which band the mean must lie. Each row is a sweep over its seeds; printed are published,
measured (mean, standard deviation, seeds), seconds of a run, and yes | no | our definition differs
because ... . NAME is a row or a pattern; without any all rows run. DIR holds FashionMNIST/raw,
MNIST/raw and cifar-10-batches-py, or some of them: a row whose files are not there is skipped with
that reason, and so is one that two cores do not reach. --keep keeps the runs, and finds those of
before again. The exit code is 1 where a row says no, or its runs fail.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROWS = Path(__file__).with_name("reproduce_rows.yaml")
SOURCE = Path(__file__).resolve().parents[1] / "src"
FILES = {
    "digits": (),
    "mnist": ("MNIST/raw",),
    "fashion_mnist": ("FashionMNIST/raw",),
    "cifar10": ("cifar-10-batches-py", "cifar-10-python.tar.gz"),
    "core50": ("core50",),
}
"""Data -> the files of which one must be there."""
HEAD = "| row | published | accepted | measured | seeds | seconds | reproduced |"
COLUMNS = HEAD.count("|") - 1


@dataclass(frozen=True, kw_only=True)
class Published:
    """A number as its source gives it, in percent."""

    value: float
    source: str
    spread: float | None = None
    kind: str = "SD"
    """of the spread: SD | SEM"""
    n: int | None = None

    def __str__(self) -> str:
        spread = "" if self.spread is None else f" ± {self.spread:.2f}"
        kind = " SEM" if spread and self.kind == "SEM" else ""
        return f"{self.value:.2f}{spread}{kind}" + ("" if self.n is None else f" ({self.n})")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One protocol: what to run, and what its mean is held against."""

    name: str
    experiment: str | None
    data: str
    seeds: int
    words: Sequence[str] = ()
    metric: str = "acc_final"
    published: Published | None = None
    band: Sequence[float] | None = None
    """[lowest, highest] mean that is accepted, in percent; None: two joint standard errors"""
    band_source: str = ""
    differs: str | None = None
    """why a mean outside the band is no failure"""
    out_of_reach: str | None = None

    def __post_init__(self) -> None:
        has_error = self.published is not None and self.published.kind == "SEM"
        if self.band is None and not has_error and self.out_of_reach is None:
            raise ValueError(f"{self.name}: neither a band nor a published standard error")

    @property
    def accepted(self) -> str:
        if self.band is not None:
            return "{:.1f} to {:.1f}".format(*self.band)
        return "-" if self.out_of_reach else "2 joint SEM"

    def is_reached(self, values: Sequence[float]) -> bool:
        """Whether the mean of these, in percent, is accepted."""
        mean = statistics.fmean(values)
        if self.band is not None:
            return self.band[0] <= mean <= self.band[1]
        assert self.published is not None, "a row without a band has a published standard error"
        own = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0
        return abs(mean - self.published.value) <= 2 * math.hypot(own, self.published.spread or 0)


@dataclass(frozen=True, kw_only=True)
class Ordering:
    """A statement about two rows: one is higher by at least so much, or both are equal within."""

    higher: str
    lower: str
    by: float = 0.0
    within: float | None = None
    source: str = ""

    def __str__(self) -> str:
        if self.within is not None:
            return f"{self.higher} = {self.lower} within {self.within:g}"
        return f"{self.higher} > {self.lower}" + (f" + {self.by:g}" if self.by else "")

    def holds(self, high: float, low: float) -> bool:
        """Whether it is true of these means."""
        if self.within is not None:
            return abs(high - low) <= self.within
        return high - low > self.by


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What the runs of a row gave, or why there is nothing."""

    values: Sequence[float] = ()
    """in percent, by seed"""
    seconds: float = 0.0
    skipped: str | None = None
    failed: str | None = None


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """All rows, and what is claimed of pairs of them."""

    rows: Sequence[Row]
    orderings: Sequence[Ordering] = field(default_factory=tuple)


def read_catalogue(path: Path) -> Catalogue:
    """The rows of a file."""
    content = yaml.safe_load(path.read_text())
    rows = [_row(name, given) for name, given in content["rows"].items()]
    known = {row.name for row in rows}
    orderings = [Ordering(**given) for given in content.get("orderings") or ()]
    for ordering in orderings:
        if not {ordering.higher, ordering.lower} <= known:
            raise ValueError(f"{ordering}: there is no such row")
    return Catalogue(rows=rows, orderings=orderings)


def _row(name: str, given: Mapping[str, Any]) -> Row:
    published = given.get("published")
    return Row(
        **{
            **given,
            "name": name,
            "published": None if published is None else Published(**published),
        }
    )


def verdict(row: Row, measured: Measured) -> str:
    """The last column."""
    if measured.failed is not None:
        return f"no: {measured.failed}"
    if measured.skipped is not None:
        return f"skipped: {measured.skipped}"
    if row.is_reached(measured.values):
        return "yes"
    return f"our definition differs because {row.differs}" if row.differs else "no"


def measure(row: Row, root: Path | None, work: Path) -> Measured:
    """Run a row's seeds as a sweep, unless its runs are in `work` already."""
    if row.out_of_reach is not None:
        return Measured(skipped=row.out_of_reach)
    if (missing := _missing(row, root)) is not None:
        return Measured(skipped=missing)
    folder = work / row.name
    if len(_results(folder)) < row.seeds:
        said = _run(row, root, folder)
        if said is not None:
            return Measured(failed=said)
    runs = _results(folder)
    if len(runs) < row.seeds:
        return Measured(failed=f"{len(runs)} of {row.seeds} runs have results")
    values = [run["metrics"][row.metric] for run in runs]
    if any(value is None for value in values):
        return Measured(failed=f"{row.metric} is undefined")
    seconds = [sum(run["cost"]["wall_seconds"].values()) for run in runs]
    return Measured(values=[100 * v for v in values], seconds=statistics.fmean(seconds))


def _missing(row: Row, root: Path | None) -> str | None:
    """Why the data of a row cannot be read; None where they can."""
    files = FILES[row.data]
    if not files:
        return None
    if root is None:
        return f"needs {files[0]}: say where with --data-root"
    return None if any((root / each).exists() for each in files) else f"{root} has no {files[0]}"


def _run(row: Row, root: Path | None, folder: Path) -> str | None:
    """The sweep; what went wrong, if anything did."""
    data = [] if root is None or not FILES[row.data] else [f"benchmark.data_root={root.absolute()}"]
    chosen = [] if row.experiment is None else [f"experiment={row.experiment}"]
    seeds = ",".join(map(str, range(row.seeds)))
    words = [*chosen, *row.words, *data, f"seed={seeds}", "report=false"]
    command = [sys.executable, "-m", "clrun", "-m", *words, f"hydra.sweep.dir={folder.absolute()}"]
    path = os.pathsep.join(filter(None, (str(SOURCE), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        return None
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return lines[-1] if lines else f"clrun ended with {done.returncode}"


def _results(folder: Path) -> list[dict[str, Any]]:
    """The results of each run in a sweep's folder that has any."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*/results.json"))]


def lines(row: Row, measured: Measured) -> Iterator[str]:
    """The row of the table."""
    values = measured.values
    sd = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    mean = f"{statistics.fmean(values):.2f}{sd}" if values else "-"
    seconds = f"{measured.seconds:.0f}" if values else "-"
    published = "-" if row.published is None else str(row.published)
    cells = [row.name, published, row.accepted, mean, str(row.seeds), seconds]
    yield f"| {' | '.join([*cells, verdict(row, measured)])} |"


def judged(ordering: Ordering, found: Mapping[str, Measured]) -> str | None:
    """A line of the list of orderings; None where one of its rows was not measured."""
    high, low = found.get(ordering.higher), found.get(ordering.lower)
    if high is None or low is None or not (high.values and low.values):
        return None
    means = statistics.fmean(high.values), statistics.fmean(low.values)
    answer = "yes" if ordering.holds(*means) else "no"
    return f"| {ordering} | {means[0]:.2f} | {means[1]:.2f} | {answer} |"


def reproduce(
    catalogue: Catalogue, names: Sequence[str], root: Path | None, work: Path
) -> Iterator[str]:
    """The table, a line as soon as it is known."""
    yield HEAD
    yield f"|{' --- |' * COLUMNS}"
    found: dict[str, Measured] = {}
    for row in chosen(catalogue, names):
        found[row.name] = measure(row, root, work)
        yield from lines(row, found[row.name])
    orderings = [judged(each, found) for each in catalogue.orderings]
    if any(orderings):
        yield from ("", "| ordering | first | second | holds |", "| --- | --- | --- | --- |")
        yield from (line for line in orderings if line is not None)


def chosen(catalogue: Catalogue, names: Sequence[str]) -> list[Row]:
    """The rows that these names and patterns mean; all of them for none."""
    for name in names:
        if not fnmatch.filter([row.name for row in catalogue.rows], name):
            known = ", ".join(row.name for row in catalogue.rows)
            raise SystemExit(f"reproduce: {name}: there is no such row. Rows: {known}.")
    wanted = names or ["*"]
    return [r for r in catalogue.rows if any(fnmatch.fnmatchcase(r.name, w) for w in wanted)]


def listed(catalogue: Catalogue, names: Sequence[str]) -> Iterator[str]:
    """What would run: each row with its source."""
    for row in chosen(catalogue, names):
        source = row.published.source if row.published is not None else row.band_source
        words = " ".join([f"experiment={row.experiment}", *row.words])
        reach = f" [{row.out_of_reach}]" if row.out_of_reach else ""
        yield f"{row.name}{reach}: clrun {words}\n    {row.seeds} seeds; {source}"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--data-root", type=Path, metavar="DIR")
    parser.add_argument("--list", action="store_true", help="say what would run, and run nothing")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where runs are kept and found")
    parser.add_argument("--rows", type=Path, default=ROWS, metavar="FILE")
    arguments = parser.parse_args()
    catalogue = read_catalogue(arguments.rows)
    if arguments.list:
        print("\n".join(listed(catalogue, arguments.names)))
        return 0
    is_bad = False
    with tempfile.TemporaryDirectory() as temporary:
        work = arguments.keep or Path(temporary)
        for line in reproduce(catalogue, arguments.names, arguments.data_root, work):
            print(line, flush=True)
            is_bad |= line.endswith("| no |") or "| no: " in line
    return int(is_bad)


if __name__ == "__main__":
    sys.exit(main())
