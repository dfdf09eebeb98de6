"""A sweep on a Ray cluster of two nodes of this machine, one of which is killed in the middle.

    python scripts/prove_ray.py [--epochs N] [--keep DIR]

Each node has room for one worker. As soon as the second node's worker has a job, everything that
runs on that node is killed (SIGKILL), as if its power failed; then a third node joins. The sweep
must go on, the killed node's worker start again on the third one, and each job be, but for times,
what a local sweep of the same words gives: each line of its log, its results, its weights. All
listens on loopback alone. The exit code is 1 if a job differs, or no worker was started again.
"""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from prove_slurm import below, clrun, compared, concluded, processes

WORDS = ("strategy=replay", "checkpoint.every_seconds=2", "device=cpu", "seed=range(6)")
JOBS = 6
MOST_SECONDS = 900.0


def cluster() -> Any:
    """Two nodes with one processor each; nobody else can give them work."""
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # only loopback
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_AUTH_MODE"], os.environ["RAY_AUTH_TOKEN"] = "token", secrets.token_hex(32)
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args=node())
    made.add_node(**node())
    return made


def node() -> dict[str, Any]:
    return {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 80 * 2**20}


def raylet(of: Any) -> int:
    """The process of a node that starts all others there."""
    return int(of.all_processes["raylet"][0].process.pid)


def working(of: int, folder: Path) -> bool:
    """Whether below this process a worker of the sweep has begun with a job."""
    workers = [p for p in below(list(processes()), of) if str(folder) in p.words]
    return bool(workers) and any(folder.glob("*/metrics.jsonl"))


def kill(of: int) -> int:
    """Kill a process and all below it; how many they were."""
    numbers = [of, *(p.number for p in below(list(processes()), of))]
    for number in numbers:
        try:
            os.kill(number, signal.SIGKILL)
        except ProcessLookupError:
            continue
    return len(numbers)


def disturbed(words: tuple[str, ...], folder: Path) -> int:
    """The sweep on the cluster; how many workers were started."""
    begun = time.monotonic()
    nodes = cluster()
    print(f"{time.monotonic() - begun:6.0f} s  two nodes at {nodes.address}", flush=True)
    ray = ("launcher=ray", f"launcher.address={nodes.address}")
    command = [sys.executable, "-m", "clrun", "-m", *words, *ray, f"hydra.sweep.dir={folder}"]
    driver = subprocess.Popen(command)
    second = next(iter(nodes.worker_nodes))
    while not working(raylet(second), folder):
        if driver.poll() is not None or time.monotonic() - begun > MOST_SECONDS:
            raise SystemExit(f"the second node never worked; exit code {driver.returncode}")
        time.sleep(0.5)
    time.sleep(5)
    killed = kill(raylet(second))
    print(f"{time.monotonic() - begun:6.0f} s  second node killed, {killed} processes", flush=True)
    nodes.add_node(**node())
    print(f"{time.monotonic() - begun:6.0f} s  a third node joined", flush=True)
    code = driver.wait(MOST_SECONDS)
    print(f"{time.monotonic() - begun:6.0f} s  exit code {code}", flush=True)
    nodes.shutdown()
    return 0 if code else len(list((folder / ".sweep" / "ray").glob("*.log")))


def main() -> int:
    """Prove it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=20, help="of a job, which takes 10 s or more")
    parser.add_argument("--keep", type=Path)
    arguments = parser.parse_args()
    place = arguments.keep or Path(tempfile.mkdtemp(prefix="clrun-ray-"))
    words = (*WORDS, f"strategy.train_epochs={arguments.epochs}")
    clrun("-m", *words, "launcher.workers=2", f"hydra.sweep.dir={place / 'local'}")
    workers = disturbed(words, place / "ray")
    wrong = compared(place / "ray", place / "local")
    print(f"{JOBS - len(wrong)} of {JOBS} jobs identical to those of the local sweep", *wrong)
    print(f"{workers} workers were started, for two nodes")
    is_right = not wrong and workers == 3
    return concluded(place, is_right=is_right, keep=arguments.keep is not None)


if __name__ == "__main__":
    sys.exit(main())
