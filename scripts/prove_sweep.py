"""Kill the processes of a sweep at random moments, and compare every byte with a serial sweep.

    python scripts/prove_sweep.py [--jobs N] [--kills W] [--drivers D] [--seed S] [--keep DIR]
    python scripts/prove_sweep.py --failures

A sweep of at least N small jobs, of eight recipes and several seeds: naive, two kinds of replay and
four of AR1 that share what they have in common. W processes that work for it (jobs, what holds
their data, the fork server) are killed (SIGKILL) at random moments, and D times the command itself,
which is then given again. In the end every job must be done, with the results.json, metrics.jsonl,
accuracy_matrix.csv and model of a sweep that Hydra's own loop has run one after another, but for
times, peaks of memory and the mark of what was shared. No job that was completed may have been
started again, and ten seconds after the end no process of the sweep may be left.

With --failures, jobs that raise, exit, die by a signal, need too much memory and hang are in one
sweep with sound ones: the sound ones are completed, each of the others has one line with its
reason, and the exit code is 1.

The seed is printed and decides the moments. The exit code is 1 if anything was otherwise.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import prove_resume

MARK = "CLRUN_PROVE_SWEEP"
"""An environment variable that all processes of a sweep inherit, and no other has."""
SECONDS_TO_END = 10.0
JITTER = 0.5
"""Seconds after some job was done in which a process may be killed."""
LOOK = 0.05

COMMON = (
    *("device=cpu", "device.threads=1", "log_every=3", "checkpoint.every_steps=5"),
    "benchmark.limit_per_class=30",
)
REPLAY = ("strategy=replay", "strategy.mem_size=40", "model.hidden=[32]")
CNN = ("model=cnn", "model.channels=[8,16]")
AR1 = (
    *("strategy=ar1", *CNN, "model.norm=batch", "strategy.latent_layer=features.relu0"),
    *("strategy.lr=0.02", "strategy.inc_lr=0.02"),
)
RECIPES: dict[str, tuple[str, ...]] = {
    "naive": ("strategy=naive", "model.hidden=[32]"),
    "naive_adam": ("strategy=naive", "strategy.optimizer=adam", "strategy.lr=0.003", *CNN),
    "replay_herding": (*REPLAY, "storage_policy=class_balanced", "selection=herding"),
    "replay_online": (*REPLAY, "strategy.memory_update=minibatch", "storage_policy=reservoir"),
    "ar1_20": (*AR1, "strategy.rm_sz=20"),
    "ar1_30": (*AR1, "strategy.rm_sz=30"),
    "ar1_20_si": (*AR1, "strategy.rm_sz=20", "strategy.ewc_lambda=0.5"),
    "ar1_30_si": (*AR1, "strategy.rm_sz=30", "strategy.ewc_lambda=0.5"),
}
SHORT = ("strategy.train_epochs=2", "strategy.train_mb_size=16")
FAILURES = ("Raises", "Exits", "Segfaults", "NeedsTooMuch", "Hangs")
UNEQUAL = (*prove_resume.UNEQUAL, "shared")
"""What may differ in the lines and results of two runs of the same job."""


def words_of(jobs: int, place: Path) -> list[str]:
    """The words of a sweep of at least so many jobs; its recipes are written to a folder."""
    recipes = place / "recipes" / "experiment"
    recipes.mkdir(parents=True, exist_ok=True)
    for name, words in RECIPES.items():
        (recipes / f"{name}.yaml").write_text(_recipe((*words, *SHORT)))
    seeds = -(-jobs // len(RECIPES))
    return [
        *("-m", "--config-dir", str(recipes.parent), f"experiment={','.join(RECIPES)}"),
        *(f"seed=range({seeds})", *COMMON),
    ]


def _recipe(words: Sequence[str]) -> str:
    """A recipe that sets what these words say."""
    pairs = [word.split("=", 1) for word in words]
    groups = [f"  - override /{key}: {value}" for key, value in pairs if "." not in key]
    lines = ["# @package _global_", "defaults:", *groups]
    for group in dict.fromkeys(key.split(".")[0] for key, _ in pairs if "." in key):
        lines.append(f"{group}:")
        lines += [
            f"  {key.split('.')[1]}: {value}" for key, value in pairs if key.startswith(f"{group}.")
        ]
    return "\n".join([*lines, ""])


class Sweep:
    """A sweep's folder, and the command that works on it, in processes that are marked."""

    def __init__(self, words: Sequence[str], folder: Path) -> None:
        self.words, self.folder = list(words), folder
        self.log = folder.with_suffix(".log")
        self._mark = f"{os.getpid()}-{folder.name}"
        self.driver: subprocess.Popen[bytes] | None = None

    def start(self) -> subprocess.Popen[bytes]:
        """Give the command, as in a terminal that a user has just opened."""
        with self.log.open("ab") as log:
            self.driver = subprocess.Popen(
                [sys.executable, "-m", "clrun", *self.words, f"hydra.sweep.dir={self.folder}"],
                env={**os.environ, MARK: self._mark},
                cwd=self.folder.parent,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        return self.driver

    def processes(self) -> dict[int, int]:
        """Every living process of the sweep, and its parent."""
        wanted, found = f"{MARK}={self._mark}".encode(), {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                try:
                    words = (entry / "environ").read_bytes().split(b"\0")
                    stat = (entry / "stat").read_text().rpartition(")")[2].split()
                except OSError:  # it has ended meanwhile
                    continue
                if wanted in words and stat[0] != "Z":
                    found[int(entry.name)] = int(stat[1])
        return found

    def workers(self) -> dict[str, list[int]]:
        """The processes that work for the command, by how far from it they are."""
        parents = self.processes()
        driver = self.driver.pid if self.driver else 0
        found: dict[str, list[int]] = {}
        for process in parents:
            depth, above = 0, process
            while above in parents and above != driver:
                depth, above = depth + 1, parents[above]
            if above == driver and depth and not _is_tracker(process):
                kind = ("fork server", "holder", "job")[min(depth, 3) - 1]
                found.setdefault(kind, []).append(process)
        return found

    def finished(self) -> set[Path]:
        """The folders of runs that are completed."""
        return {
            record.parent
            for record in self.folder.glob("*/run.json")
            if _read(record).get("status") == "completed"
        }

    def ends_in_time(self) -> bool:
        """Whether all of its processes are gone within ten seconds."""
        until = time.monotonic() + SECONDS_TO_END
        while self.processes():
            if time.monotonic() > until:
                return False
            time.sleep(LOOK)
        return True


def _is_tracker(process: int) -> bool:
    """Whether this is the standard library's own helper, which does none of the work."""
    try:
        return b"resource_tracker" in Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return True


def _read(file: Path) -> dict[str, Any]:
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError):  # not there yet
        return {}


@dataclass(frozen=True)
class Blow:
    """What is killed once so many jobs are done, after some seconds."""

    finished: int
    seconds: float
    kind: str
    """driver, job, holder or fork server"""


@dataclass
class Tally:
    """What came of a sweep that was disturbed."""

    struck: Counter[str] = field(default_factory=Counter)
    commands: int = 0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)


def blows(jobs: int, kills: int, drivers: int, rng: random.Random) -> list[Blow]:
    """Random moments, the first while nothing is done and none after three quarters of the jobs."""
    kinds = ["driver"] * drivers
    kinds += rng.choices(("job", "holder", "fork server"), weights=(6, 2, 2), k=kills)
    rng.shuffle(kinds)
    moments = sorted(rng.randrange(max(1, 3 * jobs // 4)) for _ in kinds)
    return [
        Blow(moment, JITTER * rng.random(), kind)
        for moment, kind in zip(moments, kinds, strict=True)
    ]


class Disturbed:
    """A sweep whose processes are killed."""

    def __init__(self, sweep: Sweep, rng: random.Random) -> None:
        self.sweep, self.rng, self.tally = sweep, rng, Tally()
        self._done: dict[Path, dict[str, Any]] = {}

    def run(self, planned: Sequence[Blow]) -> Tally:
        """Strike, give the command again where it was struck, and wait for the end."""
        begun = time.monotonic()
        self._command()
        for blow in planned:
            self._wait_for(blow)
            self._strike(blow.kind)
        code = self._wait()
        if code:
            self.tally.wrong.append(f"exit code {code}; see {self.sweep.log}")
        if not self.sweep.ends_in_time():
            self.tally.wrong.append(f"processes are left: {sorted(self.sweep.processes())}")
        self._note_finished()
        self.tally.seconds = time.monotonic() - begun
        return self.tally

    def _command(self) -> None:
        self.tally.commands += 1
        self.sweep.start()

    def _wait_for(self, blow: Blow) -> None:
        while self._is_running() and len(self._note_finished()) < blow.finished:
            time.sleep(LOOK)
        time.sleep(blow.seconds)

    def _strike(self, kind: str) -> None:
        driver = self.sweep.driver
        assert driver is not None
        if kind == "driver":
            if driver.poll() is None:
                driver.kill()
                self.tally.struck[kind] += 1
                driver.wait()
                if self.rng.random() < 0.5 and not self.sweep.ends_in_time():
                    self.tally.wrong.append("processes outlive a driver that was killed")
            self._command()
            return
        while self._is_running():
            victims = self.sweep.workers().get(kind)
            if victims:
                os.kill(self.rng.choice(victims), signal.SIGKILL)
                self.tally.struck[kind] += 1
                return
            time.sleep(LOOK)

    def _is_running(self) -> bool:
        return self.sweep.driver is not None and self.sweep.driver.poll() is None

    def _wait(self) -> int:
        while self._is_running():
            self._note_finished()
            time.sleep(LOOK)
        return self.sweep.driver.returncode if self.sweep.driver else 1

    def _note_finished(self) -> set[Path]:
        """The completed runs, none of which may ever change again."""
        found = self.sweep.finished()
        for folder in found - set(self._done):
            self._done[folder] = _read(folder / "run.json")
        return found

    def changed(self) -> list[str]:
        """Runs that were completed and then something else."""
        return [
            f"{folder.name}: was completed and was started again"
            for folder, record in self._done.items()
            if _read(folder / "run.json") != record
        ]


def runs(sweep: Path) -> dict[str, Path]:
    """The run folders of a sweep by what they are runs of."""
    return {
        record["config_hash"]: path.parent
        for path in sorted(sweep.glob("*/run.json"))
        if (record := _read(path))
    }


def compare(found: Path, expected: Path) -> tuple[int, list[str]]:
    """How many jobs are the same in both sweeps, and what is not."""
    prove_resume.UNEQUAL = UNEQUAL
    ours, theirs = runs(found), runs(expected)
    wrong = [f"no run of {name}" for name in set(theirs) ^ set(ours)]
    for name in set(ours) & set(theirs):
        contents = [prove_resume.content_of(folder) for folder in (ours[name], theirs[name])]
        unlike = prove_resume.differences(*contents)
        if unlike:
            wrong.append(f"{ours[name].name}: not the same: {', '.join(unlike[:5])}")
    return len(theirs) - len(wrong), wrong


def started_again(sweep: Path) -> Iterator[str]:
    """Units that the logs of workers say were started after they were completed."""
    completed = set()
    lines = [
        json.loads(line)
        for file in sweep.glob(".sweep/log/*.jsonl")
        for line in file.read_text().splitlines()
        if line.endswith("}")  # the last line of a worker that was killed may be torn
    ]
    for line in sorted(lines, key=lambda line: line["at"]):
        if line["event"] == "started" and line["unit"] in completed:
            yield f"{line['unit']}: was started again after it was completed, say the workers"
        if line["event"] == "ended" and line["status"] == "completed":
            completed.add(line["unit"])
    if not completed:
        yield "the workers have written of no job that was completed"


def prove(arguments: argparse.Namespace, place: Path) -> bool:
    """The sweep that is killed, beside one that is not."""
    rng = random.Random(arguments.seed)
    words = words_of(arguments.jobs, place)
    serial = Sweep([*words, "hydra/launcher=basic"], place / "serial")
    code = serial.start().wait()
    if code:
        print(f"the undisturbed sweep: exit code {code}; see {serial.log}")
        return False
    jobs = len(runs(serial.folder))
    disturbed = Disturbed(Sweep([*words, "sweep.retries=100"], place / "sweep"), rng)
    tally = disturbed.run(blows(jobs, arguments.kills, arguments.drivers, rng))
    same, unlike = compare(disturbed.sweep.folder, serial.folder)
    wrong = [*tally.wrong, *unlike, *disturbed.changed(), *started_again(disturbed.sweep.folder)]
    struck = ", ".join(f"{count} x {kind}" for kind, count in sorted(tally.struck.items()))
    print(
        f"{same} of {jobs} jobs identical  {sum(tally.struck.values())} kills ({struck})  "
        f"{tally.commands} commands  {tally.seconds:.0f} s"
    )
    print(*(f"    {line}" for line in wrong), sep="\n", end="\n" if wrong else "")
    return not wrong


def prove_failures(place: Path) -> bool:
    """Five kinds of failure in a sweep with sound jobs."""
    targets = ["clrun.strategies.naive:Naive", *(f"failing_jobs:{name}" for name in FAILURES)]
    words = [
        *("-m", "strategy=naive", f"strategy.target={','.join(targets)}", "seed=0,1"),
        *("device=cpu", "model.hidden=[32]", "strategy.train_epochs=1"),
        *("sweep.retries=1", "sweep.time_limit=20"),
    ]
    os.environ["PYTHONPATH"] = os.pathsep.join(
        [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    )
    sweep = Sweep(words, place / "failures")
    code = sweep.start().wait()
    shown = sweep.log.read_text()
    lines = [line for line in shown.splitlines() if line.startswith("failed: ")]
    wrong = [f"exit code {code}, not 1"] if code != 1 else []
    wrong += [
        f"{name}: {count} lines of reason, not 2"
        for name in FAILURES
        if (count := sum(f":{name}" in line for line in lines)) != 2
    ]
    finished = len(sweep.finished())
    wrong += [f"{finished} jobs completed, not 2"] if finished != 2 else []
    if not sweep.ends_in_time():
        wrong.append(f"processes are left: {sorted(sweep.processes())}")
    print(f"{finished} jobs completed, {len(lines)} failed, exit code {code}", *lines, sep="\n    ")
    print(*(f"    WRONG: {line}" for line in wrong), sep="\n", end="\n" if wrong else "")
    return not wrong


def main() -> int:
    """Prove it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=100, metavar="N")
    parser.add_argument("--kills", type=int, default=50, metavar="W")
    parser.add_argument("--drivers", type=int, default=5, metavar="D")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--failures", action="store_true")
    arguments = parser.parse_args()
    place = (arguments.keep or Path(tempfile.mkdtemp(prefix="clrun-sweep-"))).absolute()
    place.mkdir(parents=True, exist_ok=True)
    print(f"seed {arguments.seed}, in {place}", flush=True)
    is_right = prove_failures(place) if arguments.failures else prove(arguments, place)
    if is_right and arguments.keep is None:
        shutil.rmtree(place)
    return int(not is_right)


if __name__ == "__main__":
    sys.exit(main())
