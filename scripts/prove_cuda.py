"""What clrun does on a CUDA device, as a table; see scripts/prove_cuda."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import NamedTuple

from proving_cuda.row import Row, Rows, Where


class Part(NamedTuple):
    """One part of the proof."""

    module: str
    most: float
    """seconds on a GPU, after which the next one is begun"""


PARTS = {
    "environment": Part("machine", 30),
    "agreement": Part("agreement", 90),
    "waits": Part("waiting", 40),
    "speed": Part("speed", 90),
    "repeats": Part("agreement", 60),
    "tests": Part("machine", 150),
    "precisions": Part("agreement", 120),
    "busy": Part("speed", 60),
    "resume": Part("commands", 90),
    "seeds": Part("commands", 90),
    "auto": Part("waiting", 60),
}
"""Most telling first."""
OVER = "a part is over\n"
"""What a process says then."""


def main() -> int:
    """Run the parts, print what they find; the exit code, 0 if nothing is wrong."""
    asked = _asked()
    if asked.part:
        return _run_parts(asked)
    end, found = time.monotonic() + 60 * asked.minutes, []
    print(f"| {'part':12} | {'what':34} | {'found':76} | verdict |")
    print(f"| {'-' * 12} | {'-' * 34} | {'-' * 76} | ------- |", flush=True)
    for row in _all_rows(asked.only or list(PARTS), asked, end):
        found.append(row)
        print(_line(row), flush=True)
        if asked.out:
            asked.out.write_text(_table(found), encoding="utf-8")
    wrong = [row for row in found if row.verdict == "no"]
    print(f"{len(found)} rows, {len(wrong)} of them wrong, on {asked.device}")
    return int(bool(wrong))


def _all_rows(names: list[str], asked: argparse.Namespace, end: float) -> Iterator[Row]:
    """The rows of these parts. On a GPU each has a process and a limit of its own; on a CPU, where
    starting Python takes longer than most of them, a process goes on until a part ends it."""
    left = list(names)
    while left:
        if end - time.monotonic() < 5:
            yield Row(left.pop(0), "all of it", "not run: no time was left (--minutes)")
            continue
        together = left[:1] if asked.device == "cuda" else left
        done = yield from _rows(together, asked, end - time.monotonic())
        left = left[done:]


def _rows(names: list[str], asked: argparse.Namespace, left: float) -> Generator[Row, None, int]:
    """The rows of some parts from a process: one that fails leaves the others alone. Returns how
    many of them are over, the one that failed among them."""
    words = [sys.executable, __file__, "--part", *names, "--device", asked.device]
    words += ["--data-root", str(asked.data_root)] if asked.data_root else []
    over = 0
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=errors, text=True)
        limit = min(left, PARTS[names[0]].most if asked.device == "cuda" else left)
        timer = threading.Timer(limit, process.kill)
        timer.start()
        assert process.stdout is not None
        for line in process.stdout:
            over += line == OVER
            if (row := Row.parsed(line)) is not None:
                yield row
        code = process.wait()
        is_late = not timer.is_alive()
        timer.cancel()
        if over == len(names):
            return over
        if is_late:
            yield Row(names[over], "the rest of it", f"not run: ended after {limit:.0f} s")
        else:
            errors.seek(0)
            said = (errors.read().strip().splitlines() or ["it said nothing"])[-1]
            yield Row(names[over], "the rest of it", f"exit code {code}: {said[:200]}", "no")
        return over + 1


def _run_parts(asked: argparse.Namespace) -> int:
    """Print the rows of some parts, each as a line of JSON, and where each part is over."""
    for name in asked.part:
        part: Callable[[Where], Rows] = _part(name)
        with tempfile.TemporaryDirectory() as folder:
            where = Where(device=asked.device, folder=Path(folder), data_root=asked.data_root)
            for row in part(where):
                print(row.as_json(), flush=True)
        print(OVER, end="", flush=True)
    return 0


def _part(name: str) -> Callable[[Where], Rows]:
    from importlib import import_module

    part: Callable[[Where], Rows] = getattr(
        import_module(f"proving_cuda.{PARTS[name].module}"), name
    )
    return part


def _line(row: Row) -> str:
    return f"| {row.part:12} | {row.what:34} | {row.found:76} | {row.verdict:7} |"


def _table(rows: list[Row]) -> str:
    head = ["| part | what | found | verdict |", "| --- | --- | --- | --- |"]
    return "\n".join(
        [*head, *(f"| {r.part} | {r.what} | {r.found} | {r.verdict} |" for r in rows), ""]
    )


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/prove_cuda")
    parser.add_argument("--minutes", type=float, default=5, help="after which no part is begun")
    parser.add_argument("--out", type=Path, help="the table, written as it grows")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--data-root", type=Path, help="a folder with Fashion-MNIST")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), metavar="PART")
    parser.add_argument("--part", nargs="+", choices=list(PARTS), help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
