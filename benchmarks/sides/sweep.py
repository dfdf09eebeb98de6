"""`clrun -m` as it is typed, with all of its processes: seconds, memory, and what its jobs cost.

No torch here: the memory of a process starts as that of the one it comes from.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

PR_SET_CHILD_SUBREAPER = 36
LOOK = 0.1
FEW = 10
"""Jobs after which memory is looked at first."""


def measure(case: dict[str, Any]) -> dict[str, Any]:
    """The numbers of a sweep, in a folder of its own."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # no CPU second is lost
    with tempfile.TemporaryDirectory() as place:
        words = [*case["sweep"], *case.get("words", []), *_data_words(case, Path(place))]
        found = _swept(words, Path(place) / "sweep")
        if "marginal" in case:  # the same sweep with fewer jobs tells what a job costs
            few = _swept([*words, *case["marginal"]], Path(place) / "few")
            found |= _cost_of_a_job(found, few)
        if case.get("status"):
            found["status_wall"] = _status(Path(place) / "sweep")
    return found


def _data_words(case: dict[str, Any], place: Path) -> list[str]:
    """The arrays of the case as clrun reads them, the first experience as it is and the others cut.

    Without arrays the case's words say what the data are.
    """
    if case["data"] is None:
        return []
    rows: dict[str, list[np.ndarray]] = {}
    with np.load(case["data_file"]) as file:
        for i in range(case["data"]["experiences"]):
            share = 1 if i == 0 else case.get("first_times", 1)
            count = len(file[f"train_y{i}"]) // share
            for ours, theirs in (("x", "train_x"), ("y", "train_y")):
                rows.setdefault(ours, []).append(file[f"{theirs}{i}"][:count])
            for ours, theirs in (("x_test", "test_x"), ("y_test", "test_y")):
                rows.setdefault(ours, []).append(file[f"{theirs}{i}"])
    whole = {name: np.concatenate(parts) for name, parts in rows.items()}
    np.savez(place / "data.npz", **whole)
    return [
        *("benchmark=npz", f"benchmark.data_root={place / 'data.npz'}"),
        f"benchmark.n_experiences={case['data']['experiences']}",
    ]


def _swept(words: list[str], folder: Path) -> dict[str, Any]:
    """Run a sweep to its end."""
    command = [sys.executable, "-m", "clrun", "-m", *words, f"hydra.sweep.dir={folder}"]
    before, begun = _cpu_of_children(), time.perf_counter()
    log = folder.with_suffix(".log")
    with log.open("w") as target:
        driver = subprocess.Popen(command, cwd=folder.parent, stdout=target, stderr=target)
    memory = _memory_until_the_end(driver.pid, folder)
    _, status, usage = os.wait4(driver.pid, 0)
    driver.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - begun
    with suppress(ChildProcessError):
        while True:
            os.wait()  # for the fork server, whose children it has waited for
    if driver.returncode:
        raise SystemExit(f"{' '.join(words)} failed:\n{log.read_text()[-2000:]}")
    runs = [json.loads(path.read_text()) for path in folder.glob("*/results.json")]
    cpu = _cpu_of_children() - before
    return {
        "jobs": len(runs),
        "total_cpu": cpu,
        "total_wall": wall,
        "run_cpu": cpu / len(runs),
        "training_wall": statistics.mean(run["cost"]["wall_seconds"]["train"] for run in runs),
        "driver_cpu": (usage.ru_utime + usage.ru_stime) / len(runs),
        "driver_mb": usage.ru_maxrss * 1024 / 1e6,
        "accuracy": statistics.mean(run["metrics"]["acc_final"] for run in runs),
        **memory,
        **_ideal(folder),
    }


def _cpu_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _memory_until_the_end(driver: int, folder: Path) -> dict[str, float]:
    """Memory of what stays while jobs come and go, after a few and at the end."""
    found: list[tuple[int, float]] = []
    while not _has_ended(driver):
        done = len(list((folder / ".sweep" / "outcomes").glob("*.json")))
        if done >= FEW:
            found.append((done, sum(map(_resident, _staying(driver)))))
        time.sleep(LOOK)
    if not found:
        return {}
    early = [size for done, size in found if done < FEW + 5] or [found[0][1]]
    late = [size for done, size in found if done >= found[-1][0] - 5]
    grown = (max(late) - max(early)) / 1e6
    return {"staying_mb": max(late) / 1e6, "grown_mb": grown}


def _has_ended(process: int) -> bool:
    return os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _staying(driver: int) -> list[int]:
    """The driver, its fork server and what holds the data of jobs."""
    children = _children(driver)
    return [driver, *children, *(each for child in children for each in _children(child))]


def _children(process: int) -> list[int]:
    try:
        return [
            int(word)
            for word in Path(f"/proc/{process}/task/{process}/children").read_text().split()
        ]
    except OSError:
        return []


def _resident(process: int) -> float:
    """Its memory in RAM, with what its jobs share: a part of that would rise when they end."""
    try:
        text = Path(f"/proc/{process}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    return next(
        int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Rss:")
    )


def _cost_of_a_job(many: dict[str, Any], few: dict[str, Any]) -> dict[str, float]:
    """What one more job costs, and what of it is not its training."""
    more = many["jobs"] - few["jobs"]
    cpu = (many["total_cpu"] - few["total_cpu"]) / more
    return {"one_more_cpu": cpu, "beside_cpu": cpu - many["training_wall"]}


def _ideal(folder: Path) -> dict[str, float]:
    """The first experiences of all jobs as one, as a share of all that they did."""
    first, rest = [], []
    for path in folder.glob("*/metrics.jsonl"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        until = max(line["seconds"] for line in lines if line.get("experience") == 0)
        first.append(until)
        rest.append(lines[-1]["seconds"] - until)
    return {"ideal_share": (statistics.mean(first) + sum(rest)) / (sum(first) + sum(rest))}


def _status(folder: Path) -> float:
    """Seconds of `clrun status`, once what it needs is on disk."""
    return min(_timed([sys.executable, "-m", "clrun", "status", str(folder)]) for _ in range(3))


def _timed(words: list[str]) -> float:
    begun = time.perf_counter()
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun
