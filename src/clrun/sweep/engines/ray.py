"""Workers as tasks of a Ray cluster: a node that dies takes its workers along, and others start.

Ray holds nothing of the sweep: a task is the folder's name and how many jobs run at a time. The
folder must be one that all nodes share.
"""

from __future__ import annotations

import logging
import os
import platform
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clrun.config.problems import read
from clrun.disk.opening import open_own
from clrun.errors import ClrunError, ConfigError
from clrun.runner.interrupt import CollectedSignals, Interrupted, collected_signals
from clrun.sweep.engines.bound import bound, worker_words
from clrun.sweep.engines.queue import counted
from clrun.sweep.engines.ray_keys import RayKeys
from clrun.sweep.folder import SweepFolder
from clrun.sweep.manifest import read_manifest
from clrun.sweep.outcomes import is_over
from clrun.sweep.progress import resume_command
from clrun.sweep.record import SweepRecord
from clrun.sweep.running import END_SECONDS, SAVE_SECONDS

if TYPE_CHECKING:
    from types import ModuleType

LOOK_SECONDS = 1.0
"""How often a task looks at its worker, and whoever waits for them at the tasks."""

ANSWER_SECONDS = 10.0
"""How long the head of a cluster may take to answer at all."""

LEAVE_SECONDS = SAVE_SECONDS + END_SECONDS + 10
"""How long workers may take after a signal until their jobs' states are saved, or these jobs are
killed, and they are gone themselves."""

MOST_RESTARTS = 100
"""How often a worker starts again whose node died, or that Ray killed for want of memory: a job
that needs more than any node has would have it do so for ever."""

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is sent home
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # a cluster on this machine listens there alone
}
"""What Ray reads from the environment when it is imported, unless it says so already."""


class Ray:
    """Tasks that each run `clrun worker SWEEP`, and again elsewhere if their node died."""

    Config = RayKeys


def require(given: Mapping[str, Any]) -> None:
    """Refuse, before anything is written, what cannot be had here.

    Raises:
        ConfigError: Ray is not installed, a key is wrong, or nothing answers at the address.
    """
    keys = _read(given)
    if find_spec("ray") is None:
        raise ConfigError('launcher=ray: needs Ray. pip install "clrun[ray]"')
    if keys.address is not None:
        _require_answer(keys.address)


def start(path: Path, record: SweepRecord, *, force: bool = False) -> bool:
    """Run workers until no job is left: Ray's tasks end with the process that asked for them.

    Raises:
        ConfigError: no node of the cluster has what a worker needs.
        ClrunError: the cluster cannot be reached, or a worker could not work.
        Interrupted: a signal arrived; the states of all jobs are saved.
    """
    keys = _read(record.options.launcher_keys)
    left = sum(not is_over(path, job) for job in read_manifest(path))
    if not left:
        return True
    with _connected(keys.address) as ray:
        room = _room(ray, keys)
        workers = min(keys.workers or room, left)
        task = ray.remote(work).options(
            max_retries=MOST_RESTARTS,
            num_cpus=keys.num_cpus,
            num_gpus=keys.num_gpus,
            resources=dict(keys.resources or {}),
        )
        print(f"Ray: {counted(workers, left)}.", flush=True)
        with collected_signals() as signals:
            started = [task.remote(str(path), keys.jobs, force=force) for _ in range(workers)]
            codes = _ended(ray, started, signals)
    if signals.first is not None:
        raise Interrupted(signals.first, f"To go on: {resume_command(path)}")
    if set(codes) - {0, 1}:  # 1: a job failed, which the sweep says itself
        raise ClrunError(
            f"launcher=ray: a worker ended with exit code {max(codes)}; what it said is in "
            f"{SweepFolder(path).inner('ray', 'log').parent}."
        )
    return True


def work(sweep: str, jobs: int, *, force: bool) -> int:
    """A worker's exit code. This runs on a node of the cluster."""
    if not Path(sweep).is_dir():
        raise FileNotFoundError(f"{platform.node()} has no {sweep}: all nodes must share it")
    log = SweepFolder(Path(sweep)).inner("ray", f"{platform.node()}-{os.getpid()}.log")
    with open_own(log, "ab") as file:
        process = subprocess.Popen(
            bound(worker_words(sweep, jobs, force=force)), stdout=file, stderr=subprocess.STDOUT
        )
        try:
            while True:  # Ray interrupts Python alone, not a call of the system
                with suppress(subprocess.TimeoutExpired):
                    return process.wait(LOOK_SECONDS)
        except BaseException:
            process.terminate()
            process.wait()
            raise


def _read(given: Mapping[str, Any]) -> RayKeys:
    keys, problems = read("launcher.", given, RayKeys)
    if problems:
        raise ConfigError(problems)
    return keys


def _require_answer(address: str) -> None:
    """Refuse an address where nothing listens, which Ray would try for minutes.

    Raises:
        ConfigError: it is such an address.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon:
        return  # auto, which Ray knows itself
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER_SECONDS).close()
    except (OSError, ValueError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"launcher.address={address}: {reason}.") from None


@contextmanager
def _connected(address: str | None) -> Iterator[ModuleType]:
    """Ray, connected to a cluster, or to one that is started here and ends with the block.

    Raises:
        ClrunError: there is no cluster at that address.
    """
    quiet = QUIET if address is None else {k: v for k, v in QUIET.items() if "USAGE" in k}
    for name, value in quiet.items():
        os.environ.setdefault(name, value)
    import ray

    logging.getLogger("ray").setLevel(logging.ERROR)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    local: dict[str, Any] = {"include_dashboard": False} if address is None else {}
    try:
        ray.init(address=address or "local", log_to_driver=False, configure_logging=False, **local)
    except (ConnectionError, ValueError, RuntimeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ClrunError(f"launcher.address={address}: {reason}") from error
    for number, handler in handlers.items():  # Ray has taken some
        signal.signal(number, handler)
    try:
        yield ray
    finally:
        ray.shutdown()


def _room(ray: ModuleType, keys: RayKeys) -> int:
    """How many workers the cluster's nodes have room for.

    Raises:
        ConfigError: for none.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    room = sum(
        int(min(node.get(name, 0) // amount for name, amount in keys.needed.items()))
        for node in nodes
    )
    if not room:
        wanted = ", ".join(f"{amount:g} {name}" for name, amount in keys.needed.items())
        raise ConfigError(
            f"launcher.num_cpus={keys.num_cpus}: none of the cluster's {len(nodes)} nodes has what "
            f"a worker needs: {wanted}."
        )
    return room


def _ended(ray: ModuleType, started: list[Any], signals: CollectedSignals) -> list[int]:
    """Wait for all workers; their exit codes. A signal ends them, their jobs' states saved."""
    waiting = list(started)
    while waiting and signals.first is None:  # one that is raised in a call of Ray's is lost
        _, waiting = ray.wait(waiting, num_returns=len(waiting), timeout=LOOK_SECONDS)
    if waiting:
        for task in waiting:
            ray.cancel(task)
        ray.wait(waiting, num_returns=len(waiting), timeout=LEAVE_SECONDS)
        return []
    try:
        return [abs(code) for code in ray.get(started)]
    except ray.exceptions.RayError as error:  # of a task's Python, or of Ray's own
        reason = str(getattr(error, "cause", error)).strip().splitlines() or [type(error).__name__]
        raise ClrunError(f"launcher=ray: a worker was lost: {reason[0]}") from error
