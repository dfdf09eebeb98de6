"""How many units a worker runs at a time. No torch here."""

from __future__ import annotations

import os
from collections.abc import Sequence

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


def processors() -> int:
    """Those that this process may use: a job of a cluster has some of its machine's."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
