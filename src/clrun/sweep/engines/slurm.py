"""Workers as one job array of Slurm, submitted through submitit and then left to themselves.

submitit writes the batch script, catches the signal that Slurm sends before it takes a task away,
and queues the task again. Its pickles are run by whoever is given them, so they lie in a folder
that nobody else can write, and hold nothing but a `Pilot`.
"""

from __future__ import annotations

import platform
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clrun.config.problems import read
from clrun.config.trust import ADVICE, trust_now
from clrun.disk.files import storage_errors, write_text
from clrun.errors import ClrunError, ConfigError
from clrun.sweep.engines.pilot import Pilot
from clrun.sweep.engines.queue import Submitted, counted, working
from clrun.sweep.engines.slurm_keys import SlurmKeys
from clrun.sweep.folder import SweepFolder
from clrun.sweep.manifest import read_manifest
from clrun.sweep.outcomes import is_over
from clrun.sweep.record import SweepRecord, with_engine

if TYPE_CHECKING:
    from submitit import Executor

LOOK_SECONDS = 5.0
"""How often it is looked, while somebody waits, whether workers are left."""

ANSWER_SECONDS = 60.0
"""How long a command of Slurm may take."""


class Slurm:
    """An array of tasks, each of which runs `clrun worker SWEEP` and is queued again."""

    Config = SlurmKeys


def require(given: Mapping[str, Any]) -> None:
    """Refuse, before anything is written, what cannot be submitted from here.

    Raises:
        ConfigError: submitit or Slurm's commands are missing, Slurm refuses the parameters, or
            only a file says what a machine would run.
    """
    keys = _read(given)
    if find_spec("submitit") is None:
        raise ConfigError('launcher=slurm: needs submitit. pip install "clrun[slurm]"')
    if keys.cluster != "slurm":
        return
    for command in ("sbatch", "srun"):
        if shutil.which(command) is None:
            raise ConfigError(
                f"launcher=slurm: there is no {command} here. Start the sweep on a machine that "
                "has Slurm's commands, or with launcher=local."
            )
    with tempfile.TemporaryDirectory() as folder:
        _ask(keys, Path(folder))


def start(path: Path, record: SweepRecord, *, force: bool = False) -> bool:
    """Submit as many workers as there are jobs left, or as the keys say; whether it waited.

    Raises:
        ClrunError: sbatch refused them.
    """
    keys = _read(record.options.launcher_keys)
    left = sum(not is_over(path, job) for job in read_manifest(path))
    tasks = min(keys.workers, left)
    if not tasks:
        return True
    folder = SweepFolder(path).inner("slurm", "log").parent
    with storage_errors(folder):
        folder.chmod(0o700)
    submitted = _submit(keys, folder, Pilot(str(path), keys.jobs, force=force), tasks)
    before = list(record.engine.get("submitted", ()))
    with_engine(path, submitted=[*before, submitted._asdict()])
    print(f"{submitted}: {counted(tasks, left)}.")
    print(f"How it goes: clrun status {shlex.quote(str(path))}", flush=True)
    while keys.wait and working(path, submitted):
        time.sleep(LOOK_SECONDS)
    return keys.wait or keys.cluster == "debug"


def _read(given: Mapping[str, Any]) -> SlurmKeys:
    keys, problems = read("launcher.", given, SlurmKeys)
    if problems:
        raise ConfigError(problems)
    now = trust_now()
    untyped = [key for key in keys.runs_code() if not (now.everything or now.typed(key))]
    if untyped:
        says = f"only a file says this, and a machine would run it. {ADVICE}"
        raise ConfigError([f"{key}: {says}" for key in untyped])
    return keys


def _submit(keys: SlurmKeys, folder: Path, pilot: Pilot, tasks: int) -> Submitted:
    """Submit a task so many times; what is kept of that."""
    executor = _executor(keys, folder)
    try:
        jobs = executor.submit_array([pilot] * tasks)
    except Exception as error:  # of submitit, whose own are not all of one kind
        raise ClrunError(f"launcher=slurm: {_last_line(error)}. Nothing was submitted.") from error
    if keys.cluster == "debug":
        for job in jobs:
            with suppress(SystemExit):  # a job failed, which the sweep says itself
                job.results()
    names = tuple(job.job_id for job in jobs)
    for job in jobs:
        _leave(job)
    return Submitted(keys.cluster, names, platform.node())


def _executor(keys: SlurmKeys, folder: Path) -> Executor:
    """submitit's, with every parameter that it has a word for."""
    from submitit import DebugExecutor, LocalExecutor, SlurmExecutor

    if keys.cluster == "debug":
        return DebugExecutor(folder)
    if keys.cluster == "local":
        local = LocalExecutor(folder, max_num_timeout=keys.max_num_timeout)
        local.update_parameters(
            timeout_min=keys.timeout_min,
            signal_delay_s=keys.signal_delay_s,
            gpus_per_node=keys.gpus_per_node,
            setup=_quoted(keys.setup),
        )
        return local
    slurm = SlurmExecutor(folder, max_num_timeout=keys.max_num_timeout)
    slurm.update_parameters(**_parameters(keys))
    return slurm


def _parameters(keys: SlurmKeys) -> dict[str, Any]:
    """What a batch script says, in submitit's words; what is None is left to Slurm."""
    flag = "requeue" if keys.requeue else "no-requeue"
    parameters = {
        "job_name": "clrun",
        "partition": keys.partition,
        "time": keys.timeout_min,
        "cpus_per_task": keys.cpus_per_task,
        "gpus_per_node": keys.gpus_per_node or None,
        "mem": None if keys.mem_gb is None else f"{round(1024 * keys.mem_gb)}MB",
        "signal_delay_s": keys.signal_delay_s,
        "array_parallelism": keys.array_parallelism or keys.workers,
        "additional_parameters": {flag: True, **(keys.additional_parameters or {})},
        "srun_args": list(keys.srun_args),
        "setup": _quoted(keys.setup),
    }
    return {name: value for name, value in parameters.items() if value is not None}


def _quoted(commands: Sequence[str]) -> list[str]:
    """Commands of a shell, each with its words quoted: one line is one command."""
    return [shlex.join(shlex.split(command)) for command in commands]


def _ask(keys: SlurmKeys, folder: Path) -> None:
    """Let Slurm say whether it would take a job like this.

    Raises:
        ConfigError: with its reason.
    """
    script = folder / "asked.sh"
    executor: Any = _executor(keys, folder)
    write_text(script, executor._make_submission_file_text("true", ""))
    words = ["sbatch", "--test-only", str(script)]
    try:
        asked = subprocess.run(words, capture_output=True, text=True, timeout=ANSWER_SECONDS)
    except subprocess.TimeoutExpired:
        raise ConfigError(
            f"launcher=slurm: sbatch did not answer within {ANSWER_SECONDS:g} s."
        ) from None
    if asked.returncode:
        raise ConfigError(f"launcher=slurm: Slurm would refuse it: {_last_line(asked.stderr)}.")


def _last_line(said: object) -> str:
    """What a program said last, which is the reason."""
    lines = str(said).strip().splitlines() or ["it did not say why"]
    return lines[-1].removeprefix("sbatch: error: ").rstrip(".")


def _leave(job: Any) -> None:
    """Let go of a process that outlives this one, as the local executor's does."""
    process = getattr(job, "_process", None)
    if process is not None:
        process.returncode = 0  # or Popen warns that it is still running
