"""How many units a worker runs at a time, and whether it can run them. No torch here."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from clrun.errors import FolderError
from clrun.sweep.gpus import count_gpus
from clrun.sweep.manifest import Job
from clrun.sweep.record import SweepOptions
from clrun.sweep.server import called


def slots_here(options: SweepOptions, jobs: Sequence[Job]) -> int:
    """So many at a time on this machine: as the launcher's keys say, else one for each thread's
    worth of processors; of jobs on a GPU `jobs_per_gpu` for each."""
    keys = options.launcher_keys
    if options.launcher == "local" and keys.get("workers"):  # elsewhere not jobs are counted
        return int(keys["workers"])
    threads = max((int(job.identity["threads"]) for job in jobs), default=1)
    most = max(1, processors() // threads)
    if any(str(job.identity.get("device")).startswith("cuda") for job in jobs):
        on_gpus = called(count_gpus) * int(keys.get("jobs_per_gpu") or 1)
        return min(most, on_gpus) if on_gpus else most
    return most


def require_gpus(path: Path, jobs: Sequence[Job]) -> None:
    """Refuse to work on jobs whose GPU is not here: each of them would fail by itself, and be no
    more left for the workers of other machines.

    Raises:
        FolderError: there are fewer GPUs than a job names.
    """
    needed = max(map(_gpus, jobs), default=0)
    if not needed:
        return
    here = called(count_gpus)
    if here < needed:
        raise FolderError(
            f"{path}: jobs of it that are not over run on cuda:{needed - 1}, and this machine has "
            f"{here} GPUs. clrun worker on one that has them, or --force."
        )


def _gpus(job: Job) -> int:
    """How many there must be for the one that a job names, or was given when it was written."""
    values = job.config["nodes"]["device"]["values"]
    asked = f"{values.get('kind')}:{values.get('index') or 0}"
    found = re.match(r"cuda(?::(\d+))?", str(job.identity.get("device", asked)))
    return 1 + int(found[1] or 0) if found else 0


def processors() -> int:
    """Those that this process may use: a job of a cluster has some of its machine's."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
