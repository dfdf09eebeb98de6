"""Workers on this machine."""

from __future__ import annotations

from dataclasses import dataclass

from clrun.config.bounds import Count
from clrun.device.threads import require_few_threads


class Local:
    """As many jobs at once as this machine has room for; see `clrun.sweep.start`."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        workers: Count | None
        threads: Count
        jobs_per_gpu: Count

        def __post_init__(self) -> None:
            require_few_threads(self.threads)
