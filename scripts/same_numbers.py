"""Compare this tree's numbers with those of a commit, experiment by experiment.

    python scripts/same_numbers.py REV [--data-root DIR] [--only NAME...] [--fresh] [--list]
                                       [--keep DIR]

    PYTHONPATH=$PWD/src python scripts/same_numbers.py 8ba4d06 --data-root DIR --only 'replay*'

Each case of same_numbers_cases.yaml runs with REV's code and with the code of the tree this file
is in. Every field of results.json and of metrics.jsonl (each step's loss among them) must be
equal, but for times, memory peaks and hashes of keys. A field that one side alone has is
mentioned, and no difference. A case with keys that REV lacks is skipped. REV's runs are kept in
the user's temporary folder, by commit: the second comparison takes half as long; --fresh makes
them again. --only takes names and patterns. --data-root holds FashionMNIST/raw (and core50/, for
its lists); TORCH_HOME holds torchvision's weights. The exit code is 1 when a case differs or fails
here alone.
"""

from __future__ import annotations

import argparse
import fnmatch
import getpass
import hashlib
import json
import math
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
CASES = Path(__file__).with_name("same_numbers_cases.yaml")
COMMON = "device=cpu device.threads=1 log_every=1"
FILES = ("results.json", "metrics.jsonl")
VARY = {
    "config_hash",
    "cpu_seconds",
    "device_peak_bytes",
    "energy_joules_estimate",
    "peak_device_bytes",
    "peak_rss_bytes",
    "rss_peak_bytes",
    "seconds",
    "wall_seconds",
}
BAD_INPUT = 2  # clrun's exit code for a key or a value it does not know


@dataclass(frozen=True)
class Case:
    """One experiment: its name and the words after `clrun`."""

    name: str
    words: tuple[str, ...]
    missing: str | None  # what the machine lacks to run it


@dataclass(frozen=True)
class Outcome:
    """What became of a case on one side: a folder with its files and exit code."""

    folder: Path

    @property
    def code(self) -> int:
        return int((self.folder / "code").read_text())

    def last_line(self) -> str:
        lines = (self.folder / "screen.txt").read_text().strip().splitlines()
        return lines[-1] if lines else "no output"


def cases(made: Path, data_root: Path | None) -> list[Case]:
    """Every case, with paths filled in."""
    content = yaml.safe_load(CASES.read_text())
    places = {
        "{small}": content["small"],
        "{tiny}": content["tiny"],
        "{data}": str(data_root),
        "{made}": str(made),
    }
    found = []
    for name, text in content["cases"].items():
        missing = None
        if "{data}" in text and not (data_root and (data_root / "FashionMNIST").is_dir()):
            missing = "needs --data-root with FashionMNIST"
        if "{made}/core50" in text and not _core50_lists(data_root):
            missing = "needs CORe50's file lists in --data-root"
        if "mobilenet_v2" in text and "TORCH_HOME" not in os.environ:
            missing = "needs TORCH_HOME with torchvision's weights"
        for place, value in places.items():
            text = text.replace(place, value)
        found.append(Case(name, (*COMMON.split(), *shlex.split(text)), missing))
    return found


def make_data(made: Path, data_root: Path | None) -> None:
    """Small data sets of one's own from scikit-learn's digits, and a few of CORe50's names."""
    if (made / "done").exists():
        return
    shutil.rmtree(made, ignore_errors=True)
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    x, y = (digits.images[:300] * 15).astype(np.uint8), digits.target[:300]
    (made / "csv").mkdir(parents=True)
    np.savez(made / "digits.npz", x=x, y=y)
    lines = ["path,label"]
    for number, (pixels, label) in enumerate(zip(x, y, strict=True)):
        colours = np.stack([pixels, 255 - pixels, np.roll(pixels, 3, axis=1)], axis=-1)
        (made / "folder" / f"class_{label}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(made / "folder" / f"class_{label}" / f"{number}.png")
        Image.fromarray(colours).save(made / "csv" / f"{number}.png")
        lines.append(f"{number}.png,{label}")
    (made / "csv" / "labels.csv").write_text("\n".join(lines) + "\n")
    lists = _core50_lists(data_root)
    if lists:
        tree = [Path(sys.executable), ROOT / "scripts" / "core50_tree", lists, made / "core50"]
        paths = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        subprocess.run([*tree, "--every", "100"], check=True, env=paths, capture_output=True)
    (made / "done").touch()


def _core50_lists(data_root: Path | None) -> Path | None:
    found = sorted((data_root / "core50").glob("*.tar.xz")) if data_root else []
    return found[0] if found else None


def run_cases(source: Path, selected: list[Case], folders: Mapping[str, Path]) -> None:
    """Run cases with the code in `source`: one process imports, a fork of it runs each case."""
    tasks = [(case.words, str(folders[case.name])) for case in selected]
    if not tasks:
        return
    paths = {**os.environ, "PYTHONPATH": str(source / "src"), "OMP_NUM_THREADS": "1"}
    subprocess.run(
        [sys.executable, __file__, "--worker"],
        input=json.dumps(tasks),
        text=True,
        env=paths,
        check=True,
    )


def worker() -> None:
    """Run the tasks on standard input, each in a fork that has nothing left over from another."""
    for module in ("sklearn.datasets", "torch", "torchvision"):
        import_module(module)  # once, not in every fork

    tasks = json.load(sys.stdin)
    for number, (words, folder) in enumerate(tasks, start=1):
        name = Path(folder).name
        if sys.stderr.isatty():
            print(f"\r{number}/{len(tasks)} {name}\033[K", end="", file=sys.stderr, flush=True)
        child = os.fork()
        if child == 0:
            _run_task(words, Path(folder))
        os.waitpid(child, 0)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)


def _run_task(words: list[str], target: Path) -> None:
    """Run clrun and keep its files in the target, which appears only when whole; never returns."""
    work = Path(tempfile.mkdtemp(prefix="clrun_case_"))
    os.chdir(work)
    os.environ["CLRUN_CACHE"] = str(work / "cache")  # neither side reads what the other decoded
    screen = os.open("screen.txt", os.O_WRONLY | os.O_CREAT)
    os.dup2(screen, 1)
    os.dup2(screen, 2)
    code = 1
    try:
        from clrun.cli.main import main as clrun

        code = clrun([*words, "output_root=out", "hydra.run.dir=run"])
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    for file in FILES:
        if (work / "run" / file).exists():
            shutil.copy(work / "run" / file, work / file)
    for folder in ("run", "out", "cache"):
        shutil.rmtree(work / folder, ignore_errors=True)
    (work / "code").write_text(str(code))
    os.chdir("/")
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(work, target)
    os._exit(0)


def compare(before: Outcome, after: Outcome) -> tuple[bool, str]:
    """Say whether two outcomes agree, and in a sentence how."""
    if before.code == BAD_INPUT:
        return True, f"skipped, REV refuses: {before.last_line()}"
    if before.code != after.code:
        return False, f"exit code {before.code} | {after.code}: {after.last_line()}"
    if before.code != 0:
        return False, f"fails on both sides: {after.last_line()}"
    mentions: dict[str, None] = {}
    for file in FILES:
        pair = [_read(outcome.folder / file) for outcome in (before, after)]
        for path, old, new in differences(pair[0], pair[1], file):
            if old is MISSING or new is MISSING:
                place = re.sub(r"\[\d+\]", "", path)  # once for all rows
                mentions[f"{place} {'new' if old is MISSING else 'gone'}"] = None
            else:
                return False, f"{path}: {_short(old)} | {_short(new)}"
    few = ", ".join([*mentions][:3]) + (f", {len(mentions) - 3} more" if len(mentions) > 3 else "")
    return True, "equal" + (f" ({few})" if few else "")


MISSING = object()


def _read(path: Path) -> object:
    """A JSON file, or JSON lines by kind, so that a new kind of line moves no other."""
    if path.suffix == ".json":
        return json.loads(path.read_text())
    kinds: dict[str, list[object]] = {}
    for line in path.read_text().splitlines():
        row = json.loads(line)
        kinds.setdefault(row["kind"], []).append(row)
    return kinds


def differences(old: object, new: object, path: str) -> Iterator[tuple[str, object, object]]:
    """Each place where two JSON values differ, with both values; MISSING where one has none."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            if key not in VARY:
                pair = old.get(key, MISSING), new.get(key, MISSING)
                yield from differences(*pair, f"{path}/{key}")
    elif isinstance(old, list) and isinstance(new, list):
        old, new = _trimmed(old), _trimmed(new)
        if len(old) != len(new):
            yield f"{path}, length", len(old), len(new)
        for number, pair in enumerate(zip(old, new, strict=False)):
            yield from differences(*pair, f"{path}[{number}]")
    elif old != new and not _both_nan(old, new):
        yield path, old, new


def _trimmed(values: list[object]) -> list[object]:
    """A row without what was not evaluated at its end, which may be left off."""
    count = next((n for n in range(len(values), 0, -1) if values[n - 1] is not None), 0)
    return values[:count]


def _both_nan(old: object, new: object) -> bool:
    floats = isinstance(old, float) and isinstance(new, float)
    return floats and math.isnan(old) and math.isnan(new)  # type: ignore[arg-type]


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


def unpack(commit: str, target: Path) -> None:
    """Write the files of a commit to a folder, once."""
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=target.parent))
    git = subprocess.Popen(
        ["git", "-C", ROOT, "archive", commit, "src", "conf", "pyproject.toml"],
        stdout=subprocess.PIPE,
    )
    with tarfile.open(fileobj=git.stdout, mode="r|") as archive:
        archive.extractall(work, filter="data")
    if git.wait() == 0 and not target.exists():
        work.rename(target)


def _commit(revision: str) -> str:
    command = ["git", "-C", str(ROOT), "rev-parse", "--verify", "--quiet", revision + "^{commit}"]
    found = subprocess.run(command, capture_output=True, text=True)
    if found.returncode:
        sys.exit(f"same_numbers: {revision} is no commit of this repository")
    return found.stdout.strip()


def _key(case: Case) -> str:
    """Names what decides a case's numbers beside the code: its words and the libraries."""
    try:
        versions = [version(name) for name in ("torch", "torchvision", "numpy", "scikit-learn")]
    except PackageNotFoundError as error:
        sys.exit(f"same_numbers: {sys.executable} has no {error.name}. Use clrun's own Python.")
    text = json.dumps([case.words, versions, sys.version_info[:2]])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="same_numbers", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("revision", metavar="REV", nargs="?")
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--only", nargs="+", default=["*"], metavar="NAME")
    parser.add_argument("--fresh", action="store_true", help="run REV again")
    parser.add_argument("--list", action="store_true", help="show the cases and stop")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep this tree's files in DIR")
    args = parser.parse_args()
    if not args.list and not args.revision:
        parser.error("REV is missing")
    return args


def main() -> int:
    """Run both sides, print the table; 1 when a case differs."""
    args = _arguments()
    cache = Path(tempfile.gettempdir()) / f"clrun_same_numbers_{getpass.getuser()}"
    data_root = args.data_root.resolve() if args.data_root else None
    made = cache / ("made_with_core50" if _core50_lists(data_root) else "made")
    listed = cases(made, data_root)
    selected = [case for case in listed if any(fnmatch.fnmatch(case.name, p) for p in args.only)]
    if args.list:
        print("\n".join(f"{case.name}: {shlex.join(case.words)}" for case in selected))
        return 0
    if not selected:
        sys.exit(f"same_numbers: no case is called {' or '.join(args.only)}; --list shows them")
    make_data(made, data_root)
    commit = _commit(args.revision)
    unpack(commit, cache / commit / "tree")
    runnable = [case for case in selected if not case.missing]
    before = {case.name: cache / commit / "runs" / _key(case) / case.name for case in runnable}
    stale = [case for case in runnable if args.fresh or not (before[case.name] / "code").exists()]
    run_cases(cache / commit / "tree", stale, before)
    with tempfile.TemporaryDirectory() as work:
        kept = args.keep.resolve() if args.keep else Path(work)
        after = {case.name: kept / case.name for case in runnable}
        run_cases(ROOT, runnable, after)
        return report(selected, before, after)


def report(selected: list[Case], before: Mapping[str, Path], after: Mapping[str, Path]) -> int:
    """Print a line for each case and the count; the exit code."""
    width = max(len(case.name) for case in selected)
    different = 0
    for case in selected:
        if case.missing:
            print(f"{case.name:{width}}  not run: {case.missing}")
            continue
        same, sentence = compare(Outcome(before[case.name]), Outcome(after[case.name]))
        different += not same
        print(f"{case.name:{width}}  {'' if same else 'DIFFERS '}{sentence}")
    print(f"{len(selected)} cases, {different} of them different.")
    return int(different > 0)


if __name__ == "__main__":
    if sys.argv[1:] == ["--worker"]:
        worker()
    else:
        sys.exit(main())
