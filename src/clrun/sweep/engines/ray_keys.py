"""The keys of `launcher=ray`: what a worker asks of a Ray cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator

from clrun.config.bounds import Count, NonNegative, Positive


def _own(given: dict[str, float]) -> dict[str, float]:
    for name in given:
        if name in ("CPU", "GPU", "num_cpus", "num_gpus"):
            raise ValueError(f"{name} is set by launcher.num_cpus or launcher.num_gpus")
    return given


Resources = Annotated[dict[str, Positive], AfterValidator(_own)]


@dataclass(frozen=True, kw_only=True)
class RayKeys:
    """See conf/launcher/ray.yaml."""

    address: str | None
    workers: Count | None
    num_cpus: Count
    num_gpus: NonNegative
    resources: Resources | None
    jobs_per_worker: Count | None
    jobs_per_gpu: Count
    threads: Count

    def __post_init__(self) -> None:
        if self.num_gpus > 1 and not float(self.num_gpus).is_integer():
            raise ValueError(f"num_gpus={self.num_gpus:g}: above 1 it must be a whole number.")

    @property
    def jobs(self) -> int:
        """How many run at a time in each worker."""
        if self.jobs_per_worker is not None:
            return self.jobs_per_worker
        if self.num_gpus >= 1:
            return int(self.num_gpus) * self.jobs_per_gpu
        return 1 if self.num_gpus else max(1, self.num_cpus // self.threads)

    @property
    def needed(self) -> dict[str, float]:
        """What a node must have for a worker, in Ray's words."""
        needed = {
            "CPU": float(self.num_cpus),
            "GPU": float(self.num_gpus),
            **(self.resources or {}),
        }
        return {name: amount for name, amount in needed.items() if amount}
