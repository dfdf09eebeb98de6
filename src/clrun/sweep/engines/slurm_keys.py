"""The keys of `launcher=slurm`: what sbatch is given, typed and checked before anything starts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator

from clrun.config.bounds import Count, Natural, Positive, Switch

OURS = {
    "array": "launcher.workers",
    "cpus-per-task": "launcher.cpus_per_task",
    "error": "clrun",
    "gpus-per-node": "launcher.gpus_per_node",
    "job-name": "clrun",
    "mem": "launcher.mem_gb",
    "nodes": "clrun, whose workers are on one node each",
    "ntasks-per-node": "clrun, which starts one worker in each job",
    "open-mode": "clrun, since a task goes on in its log",
    "output": "clrun",
    "partition": "launcher.partition",
    "requeue": "launcher.requeue",
    "no-requeue": "launcher.requeue",
    "signal": "launcher.signal_delay_s",
    "time": "launcher.timeout_min",
}
"""Options of sbatch -> what says them."""

HARMLESS = (
    *("account", "comment", "constraint", "exclude", "exclusive", "gres", "mail-type", "mail-user"),
    *("nice", "nodelist", "qos", "reservation", "wckey"),
)
"""Options of sbatch that run nothing and name no file: whoever wrote them, they may be read."""


OF_SLURM = (
    *("partition", "array_parallelism", "mem_gb", "requeue"),
    *("additional_parameters", "srun_args"),
)
"""Keys that submitit has no word for where it starts processes of this machine."""

OF_TASKS = ("timeout_min", "signal_delay_s", "max_num_timeout", "setup")
"""Keys that say nothing of what runs in the process that was started."""

USUAL = {
    **{"mem_gb": 16, "requeue": True},
    **{"timeout_min": 720, "signal_delay_s": 120, "max_num_timeout": 100},
}
"""What conf/launcher/slurm.yaml says, where that is not nothing: said by nobody."""

UNSAID: tuple[object, ...] = (None, [], {})


def _one_line(text: str) -> str:
    if not text.strip() or len(text.splitlines()) > 1:
        raise ValueError("must be one line of text")
    return text


def _options(given: dict[str, Any]) -> dict[str, Any]:
    for key, value in given.items():
        if value is False:
            raise ValueError(f"{key} is true or has a value, or is left out")
        if not re.fullmatch(r"[a-z][a-z-]*", key):
            raise ValueError(f"{key} is no option of sbatch; they are written like mail-type")
        if key in OURS:
            raise ValueError(f"{key} is set by {OURS[key]}")
    return given


Line = Annotated[str, AfterValidator(_one_line)]
Options = Annotated[dict[str, Line | int | bool], AfterValidator(_options)]


@dataclass(frozen=True, kw_only=True)
class SlurmKeys:
    """See conf/launcher/slurm.yaml."""

    cluster: Literal["slurm", "local", "debug"]
    workers: Count
    array_parallelism: Count | None
    jobs_per_worker: Count | None
    jobs_per_gpu: Count
    threads: Count
    partition: Line | None
    cpus_per_task: Count
    gpus_per_node: Natural
    mem_gb: Positive | None
    timeout_min: Count
    signal_delay_s: Count
    max_num_timeout: Natural
    requeue: Switch
    additional_parameters: Options | None
    srun_args: list[Line]
    setup: list[Line]
    wait: Switch

    def __post_init__(self) -> None:
        if self.signal_delay_s >= 60 * self.timeout_min:
            raise ValueError(
                f"signal_delay_s={self.signal_delay_s}: must be below the "
                f"{60 * self.timeout_min} seconds of timeout_min={self.timeout_min}."
            )
        unread = {"slurm": (), "local": OF_SLURM, "debug": (*OF_SLURM, *OF_TASKS)}
        for name in unread[self.cluster]:
            if getattr(self, name) not in (*UNSAID, USUAL.get(name)):
                only = "slurm" if name in OF_SLURM else "slurm or local"
                raise ValueError(f"{name}: is read with cluster={only} alone.")

    @property
    def jobs(self) -> int:
        """How many run at a time in each worker."""
        if self.jobs_per_worker is not None:
            return self.jobs_per_worker
        if self.gpus_per_node:
            return self.gpus_per_node * self.jobs_per_gpu
        return max(1, self.cpus_per_task // self.threads)

    def runs_code(self) -> Iterator[str]:
        """The keys whose values a machine runs, or may: a file must not say them unasked."""
        for name in ("setup", "srun_args"):
            if getattr(self, name):
                yield f"launcher.{name}"
        for name in self.additional_parameters or ():
            if name not in HARMLESS:
                yield f"launcher.additional_parameters.{name}"
