"""What clrun does on a CUDA device, as a table; see scripts/prove_cuda."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
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


def main() -> int:
    """Run the parts, print what they find; the exit code, 0 if nothing is wrong."""
    asked = _asked()
    if asked.part:
        return _run_part(asked)
    end, found = time.monotonic() + 60 * asked.minutes, []
    print(f"| {'part':12} | {'what':34} | {'found':76} | verdict |")
    print(f"| {'-' * 12} | {'-' * 34} | {'-' * 76} | ------- |", flush=True)
    for name in asked.only or PARTS:
        for row in _rows(name, asked, end):
            found.append(row)
            print(_line(row), flush=True)
            if asked.out:
                asked.out.write_text(_table(found), encoding="utf-8")
    wrong = [row for row in found if row.verdict == "no"]
    print(f"{len(found)} rows, {len(wrong)} of them wrong, on {asked.device}")
    return int(bool(wrong))


def _rows(name: str, asked: argparse.Namespace, end: float) -> Iterator[Row]:
    """The rows of a part, from a process of its own: one that fails leaves the others alone."""
    left = end - time.monotonic()
    if left < 5:
        yield Row(name, "all of it", "not run: no time was left (--minutes)")
        return
    words = [sys.executable, __file__, "--part", name, "--device", asked.device]
    words += ["--data-root", str(asked.data_root)] if asked.data_root else []
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=errors, text=True)
        limit = min(left, PARTS[name].most if asked.device == "cuda" else left)
        timer = threading.Timer(limit, process.kill)
        timer.start()
        assert process.stdout is not None
        yield from filter(None, map(Row.parsed, process.stdout))
        code = process.wait()
        is_over = not timer.is_alive()
        timer.cancel()
        if is_over:
            yield Row(name, "the rest of it", f"not run: ended after {limit:.0f} s")
        elif code:
            errors.seek(0)
            said = (errors.read().strip().splitlines() or ["it said nothing"])[-1]
            yield Row(name, "the rest of it", f"exit code {code}: {said[:200]}", "no")


def _run_part(asked: argparse.Namespace) -> int:
    """Print the rows of one part, each as a line of JSON."""
    part: Callable[[Where], Rows] = _part(asked.part)
    with tempfile.TemporaryDirectory() as folder:
        where = Where(device=asked.device, folder=Path(folder), data_root=asked.data_root)
        for row in part(where):
            print(row.as_json(), flush=True)
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
    parser.add_argument("--part", choices=list(PARTS), help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
