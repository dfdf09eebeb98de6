"""Where the workers of a sweep are that Slurm was given: queued and why, running, gone.

It is asked with squeue, which a controller answers from memory, never with sacct, which many sites
do not have. What a task said when it ended lies in the sweep's folder.
"""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from clrun.disk.opening import read_text
from clrun.sweep.engines.pilot import ended_file

ANSWER_SECONDS = 20.0
"""How long squeue may take."""

RUNNING = ("RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED")


class Submitted(NamedTuple):
    """Tasks that were submitted together."""

    cluster: str
    """slurm, local or debug"""
    tasks: tuple[str, ...]
    """their names: 12_0, 12_1, ... of an array; of the local executor its processes"""
    host: str
    """where they were submitted"""

    def __str__(self) -> str:
        if self.cluster == "slurm":
            return f"Slurm job {self.tasks[0].partition('_')[0]}"
        return f"submitit's {self.cluster} executor"


class Task(NamedTuple):
    """Where one is."""

    name: str
    state: str
    """queued, running, ended or gone"""
    more: str = ""
    """why it is queued, where it runs, or the exit code that it ended with"""


class Unknown(Exception):
    """Nobody here can say; the message says why."""


def tasks(path: Path, submitted: Submitted) -> list[Task]:
    """Where each task is.

    Raises:
        Unknown: that cannot be seen from here.
    """
    alive = _queue(submitted) if submitted.cluster == "slurm" else _processes(submitted)
    return [alive.get(name) or _over(path, name) for name in submitted.tasks]


def working(path: Path, submitted: Submitted) -> bool:
    """Whether a task may still do something, as far as is known."""
    try:
        return any(task.state in ("queued", "running") for task in tasks(path, submitted))
    except Unknown:
        return True


def engine_lines(path: Path, engine: Mapping[str, Any]) -> list[str]:
    """What `clrun status` says of a sweep's workers: for each array what its tasks do."""
    lines = []
    for given in engine.get("submitted", ()):
        submitted = Submitted(given["cluster"], tuple(given["tasks"]), given["host"])
        try:
            lines += [f"{submitted}: {line}" for line in _together(tasks(path, submitted))]
        except Unknown as error:
            lines.append(f"{submitted}: {error}")
    return lines


def _together(found: Sequence[Task]) -> list[str]:
    """A line for each state, with what these tasks have in common: why, where, or how it ended."""
    numbers: dict[tuple[str, str], list[int]] = {}
    for place, task in enumerate(found):
        numbers.setdefault((task.state, task.more), []).append(place)
    return [
        f"{_workers(places)} {state}{f' ({more})' if more else ''}"
        for (state, more), places in numbers.items()
    ]


def counted(workers: int, jobs: int) -> str:
    """3 workers for 12 jobs"""
    return f"{workers} worker{'s'[: workers > 1]} for {jobs} job{'s'[: jobs > 1]}"


def _workers(places: Sequence[int]) -> str:
    """worker 3, or workers 0-4, 7"""
    runs: list[list[int]] = []
    for place in places:
        if runs and place == runs[-1][-1] + 1:
            runs[-1].append(place)
        else:
            runs.append([place])
    words = [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs]
    return f"worker{'s' if len(places) > 1 else ''} {', '.join(words)}"


def _queue(submitted: Submitted) -> dict[str, Task]:
    """The tasks that Slurm has, by name."""
    if shutil.which("squeue") is None:
        raise Unknown("there is no squeue here that could say what they do")
    arrays = dict.fromkeys(task.partition("_")[0] for task in submitted.tasks)
    found = [_task(line) for array in arrays for line in _squeue(array)]
    return {task.name: task for task in found}


def _squeue(array: str) -> list[str]:
    """What squeue has to say of a job, a line for each of its tasks; none where it knows no more.

    It is asked for one at a time, since it refuses them all for one that it has forgotten.
    """
    words = ["squeue", "--noheader", "--array", f"--jobs={array}", "--format=%i|%T|%r|%N"]
    try:
        said = subprocess.run(words, capture_output=True, text=True, timeout=ANSWER_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        raise Unknown(f"squeue did not answer within {ANSWER_SECONDS:g} s") from None
    if said.returncode == 0:
        return said.stdout.splitlines()
    if "Invalid job id" in said.stderr:
        return []
    reason = (said.stderr.strip().splitlines() or ["nothing"])[-1]
    raise Unknown(f"squeue says: {reason}")


def _task(line: str) -> Task:
    name, state, reason, nodes = line.split("|", 3)
    if state in RUNNING:
        return Task(name, "running", nodes)
    return Task(name, "queued", reason)


def _processes(submitted: Submitted) -> dict[str, Task]:
    """The tasks of the local executor that are processes of this machine."""
    if submitted.host != platform.node():
        raise Unknown(f"they are processes of {submitted.host}")
    return {
        name: Task(name, "running") for name in submitted.tasks if name.isdigit() and _lives(name)
    }


def _lives(process: str) -> bool:
    """Whether a process of this number lives, and is one of submitit's."""
    try:
        words = Path("/proc", process, "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return any(b"submitit" in word for word in words)


def _over(path: Path, name: str) -> Task:
    """A task that is in no queue: it said how it ended, or it was taken away."""
    try:
        code = json.loads(read_text(ended_file(path, name)))["code"]
    except (OSError, ValueError, KeyError, TypeError):
        return Task(name, "gone", "cancelled or killed; clrun resume SWEEP starts others")
    return Task(name, "ended", f"exit code {code}" if code else "")
