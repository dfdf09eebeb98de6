"""A sweep on real Slurm through preemptions, time limits, requeues, scancel and kills.

    python scripts/prove_slurm.py [--seed S] [--epochs N] [--keep DIR]

Twelve jobs are run by two tasks of an array in a partition that a second one preempts, each with a
time limit of two minutes. Every few seconds something happens to them: see EVENTS. A task that was
cancelled, or whose own process was killed, is gone for good; where all are gone `clrun resume`
submits others. In the end each job must be, but for times, what a local sweep of the same words
gives: each line of its log, its results, its weights. Slurm (SLURM_CONF) must run; the shell script
beside this one starts it. The seed is printed and decides what happens when.
The exit code is 1 if a job differs, is missing, or something never happened.
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

from prove_resume import content_of, differences

WORDS = (
    *("strategy=replay", "checkpoint.every_seconds=2", "device=cpu"),
    *("seed=range(4)", "strategy.mem_size=60,120,240"),
)
JOBS = 12
SLURM = (
    *("launcher=slurm", "launcher.partition=low", "launcher.workers=2", "launcher.cpus_per_task=1"),
    *("launcher.gpus_per_node=0", "launcher.mem_gb=null", "launcher.timeout_min=2"),
    "launcher.signal_delay_s=15",
)
EVENTS = ("preempt", "requeue", "kill worker", "kill job", "kill task", "cancel task")
"""What happens, in turns: another partition takes both processors; scontrol requeue; SIGKILL of
`clrun worker`, of the process of a job, of the task's own process; scancel of a task."""

TURNS = 2
"""So often each of them at most, so that the sweep comes to its end."""

PAUSE = (5.0, 15.0)
"""Seconds between two events, beside those that a job takes: a worker needs some to begin."""

MOST_SECONDS = 1500.0
RUNNING = ("RUNNING", "COMPLETING", "CONFIGURING")


@dataclass(frozen=True)
class Process:
    """One of the machine's."""

    number: int
    parent: int
    words: tuple[str, ...]


def processes() -> Iterator[Process]:
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            status = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        yield Process(int(folder.name), int(status[1]), tuple(words))


def said(*words: str) -> str:
    """What a command prints; a failure is no concern of ours, as a task may just have ended."""
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()


@dataclass
class Sweep:
    """The one on Slurm, and what happens to it."""

    folder: Path
    rng: random.Random
    start: float = field(default_factory=time.monotonic)
    counts: Counter[str] = field(default_factory=Counter)
    preempted: int = 0
    """tasks that were running when others took their place"""
    processors: str = field(default_factory=lambda: said("sinfo", "-h", "-p", "high", "-o", "%c"))
    """of the node, as Slurm knows them"""

    def note(self, event: str, what: str) -> None:
        self.counts[event] += 1
        done = len(list(self.completed()))
        seconds = time.monotonic() - self.start
        print(f"{seconds:6.0f} s  {event:12}  {what:20}  {done:2} of {JOBS} done", flush=True)

    def completed(self) -> Iterator[Path]:
        for file in self.folder.glob("*/run.json"):
            if json.loads(file.read_text())["status"] == "completed":
                yield file.parent

    def tasks(self) -> list[tuple[str, str]]:
        """Each task that Slurm has, and its state."""
        lines = said("squeue", "-h", "-r", "-n", "clrun", "-o", "%i|%T").splitlines()
        return [(name, state) for name, _, state in (line.partition("|") for line in lines)]

    def running(self) -> list[str]:
        return [name for name, state in self.tasks() if state == "RUNNING"]

    def release(self) -> None:
        """Slurm lets what it has queued again wait for two minutes."""
        for name, state in self.tasks():
            if state == "PENDING":
                said("scontrol", "update", f"JobId={name}", "StartTime=now")

    def happen(self, event: str) -> None:
        """Let it happen, if there is something it can happen to."""
        running = self.running()
        if not running:
            return
        task = self.rng.choice(running)
        if event == "preempt":
            said("srun", "-p", "high", "-n", self.processors, "true")
            self.preempted += len(running)
            self.note(event, f"{len(running)} running")
        elif event == "requeue":
            said("scontrol", "requeue", task)
            self.note(event, f"task {task}")
        elif event == "cancel task":
            said("scancel", task)
            self.note(event, f"task {task}")
        else:
            self._kill(event)

    def _kill(self, event: str) -> None:
        there = list(processes())
        workers = [p for p in there if p.words[1:4] == ("-m", "clrun", "worker")]
        workers = [p for p in workers if str(self.folder) in p.words]
        if not workers:
            return
        worker = self.rng.choice(workers)
        killed = worker.number
        if event == "kill task":
            killed = worker.parent
        elif event == "kill job":
            under = list(below(there, worker.number))
            parents = {p.parent for p in under}
            leaves = [p.number for p in under if p.number not in parents and not _tracks(p)]
            if not leaves:
                return
            killed = self.rng.choice(leaves)
        try:
            os.kill(killed, signal.SIGKILL)
        except ProcessLookupError:
            return
        self.note(event, f"process {killed}")

    def time_limits(self) -> int:
        """How often tasks were warned of the end of their time, by their logs.

        So they are when they are preempted, which submitit calls the same where limits are short.
        """
        logs = (self.folder / ".sweep" / "slurm").glob("*_log.out")
        warned = sum(log.read_text(errors="replace").count("this job is ") for log in logs)
        return max(0, warned - self.preempted)


def _tracks(process: Process) -> bool:
    """Whether it is Python's own, which runs no job."""
    return any("resource_tracker" in word for word in process.words)


def below(there: list[Process], number: int) -> Iterator[Process]:
    """Those that a process started, and what they started."""
    for process in there:
        if process.parent == number:
            yield process
            yield from below(there, process.number)


def clrun(*words: str) -> str:
    """What the command says.

    Raises:
        SystemExit: it failed.
    """
    ran = subprocess.run([sys.executable, "-m", "clrun", *words], capture_output=True, text=True)
    if ran.returncode:
        raise SystemExit(f"clrun {' '.join(words)}: {ran.returncode}\n{ran.stdout}{ran.stderr}")
    return ran.stdout


def disturbed(words: Sequence[str], folder: Path, rng: random.Random, pause: float) -> Sweep:
    """The sweep on Slurm, from its submission until every job is completed."""
    print(clrun("-m", *words, *SLURM, f"hydra.sweep.dir={folder}"), flush=True)
    sweep = Sweep(folder, rng)
    turn, due = 0, time.monotonic() + 20
    while time.monotonic() - sweep.start < MOST_SECONDS:
        done = len(list(sweep.completed()))
        if done == JOBS and not sweep.tasks():
            break
        sweep.release()
        if not sweep.tasks():
            sweep.note("resume", "no task was left")
            clrun("resume", str(folder))
        elif time.monotonic() > due and turn < TURNS * len(EVENTS):
            sweep.happen(EVENTS[turn % len(EVENTS)])
            turn, due = turn + 1, time.monotonic() + rng.uniform(*PAUSE) + pause
        time.sleep(1)
    sweep.counts["time limit"] = sweep.time_limits()
    return sweep


def _seconds(local: Path) -> float:
    """How long a job takes here and now."""
    outcomes = (local / ".sweep" / "outcomes").glob("*.json")
    seconds = [float(json.loads(file.read_text())["seconds"]) for file in outcomes]
    return sum(seconds) / len(seconds)


def compared(folder: Path, local: Path) -> list[str]:
    """A line for each job that is not what it is locally."""
    lines = []
    for expected in sorted(path.parent for path in local.glob("*/results.json")):
        try:
            found = differences(content_of(folder / expected.name), content_of(expected))
        except OSError as error:
            found = [str(error)]
        if found:
            lines.append(f"{expected.name}: not the same: {', '.join(found[:5])}")
    return lines


def concluded(place: Path, *, is_right: bool, keep: bool) -> int:
    """Say whether it is proved; the exit code. What proves nothing is kept to be looked at."""
    if is_right and not keep:
        shutil.rmtree(place)
    print("proved" if is_right else f"not proved; see {place}")
    return int(not is_right)


def main() -> int:
    """Prove it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--epochs", type=int, default=20, help="of a job, which takes 10 s or more")
    parser.add_argument("--keep", type=Path)
    arguments = parser.parse_args()
    place = arguments.keep or Path(tempfile.mkdtemp(prefix="clrun-slurm-"))
    local, folder = place / "local", place / "slurm"
    print(f"seed {arguments.seed}, in {place}; {said('sbatch', '--version')}", flush=True)
    begun = time.monotonic()
    words = (*WORDS, f"strategy.train_epochs={arguments.epochs}")
    clrun("-m", *words, "launcher.workers=2", f"hydra.sweep.dir={local}")
    print(f"{JOBS} jobs on this machine alone: {time.monotonic() - begun:.0f} s", flush=True)
    sweep = disturbed(words, folder, random.Random(arguments.seed), _seconds(local))
    wrong = compared(folder, local)
    same = JOBS - len(wrong)
    print(f"\n{same} of {JOBS} jobs identical to those of the local sweep", *wrong, sep="\n    ")
    names = (*EVENTS, "time limit", "resume")
    print(*(f"{sweep.counts[name]:4} x {name}" for name in names), sep="\n")
    print(clrun("status", str(folder)))
    missing = [name for name in names if not sweep.counts[name]]
    if missing:
        print(f"never happened: {', '.join(missing)}")
    is_right = not wrong and not missing and len(list(local.glob("*/results.json"))) == JOBS
    return concluded(place, is_right=is_right, keep=arguments.keep is not None)


if __name__ == "__main__":
    sys.exit(main())
