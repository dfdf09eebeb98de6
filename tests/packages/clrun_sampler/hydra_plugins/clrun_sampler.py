"""A Hydra sweeper as people install them: it draws from intervals and reads values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobStatus
from hydra.plugins.sweeper import Sweeper


@dataclass
class SamplerConf:
    _target_: str = "hydra_plugins.clrun_sampler.Sampler"
    fractions: list[float] = field(default_factory=lambda: [0.25, 0.75])
    params: dict[str, str] = field(default_factory=dict)


ConfigStore.instance().store(group="hydra/sweeper", name="sampler", node=SamplerConf)


class Sampler(Sweeper):
    """One trial for each fraction of the intervals; what each gave is written to values.txt."""

    def __init__(self, fractions: Sequence[float], params: dict[str, str]) -> None:
        self.fractions, self.params = fractions, params

    def setup(self, *, hydra_context: Any, task_function: Any, config: Any) -> None:
        self.folder = Path(config.hydra.sweep.dir)
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        params = [f"{key}={value}" for key, value in self.params.items()]
        words = OverridesParser.create().parse_overrides([*params, *arguments])
        for number, fraction in enumerate(self.fractions):
            trial = [self._drawn(word, fraction) for word in words]
            [given] = self.launcher.launch([trial], initial_job_idx=number)
            is_completed = given.status == JobStatus.COMPLETED
            with (self.folder / "values.txt").open("a") as values:
                values.write(f"{given.return_value if is_completed else 'failed'}\n")

    def _drawn(self, word: Any, fraction: float) -> str:
        if not word.is_interval_sweep():
            return str(word.input_line)
        interval = word.value()
        value = interval.start + fraction * (interval.end - interval.start)
        return f"{word.get_key_element()}={value}"
