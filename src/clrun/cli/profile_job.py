"""The job of a profiled run, which Hydra calls like any other."""

from __future__ import annotations

import argparse
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from clrun.cli.job import SingleRun
from clrun.config.run_config import RunConfig
from clrun.config.schema import component_class
from clrun.errors import ConfigError
from clrun.profiling.clocks import Clocks
from clrun.profiling.points import LOADING, measured
from clrun.profiling.profile import Profile
from clrun.profiling.window import Window
from clrun.runner.prepare import Prepared


class ProfiledRun(SingleRun):
    """A single run with its measurements.

    Raises:
        ConfigError: as for any run; or --experience names one that the stream does not have.
    """

    def __init__(self, config: RunConfig, asked: argparse.Namespace, clocks: Clocks) -> None:
        with measured(LOADING, clocks):
            super().__init__(config)
        self.profile = Profile(self._prepared, _window(asked, self._prepared), clocks)
        self.folder = Path()

    def __call__(self, tree: DictConfig) -> float | None:
        self.folder = Path(HydraConfig.get().runtime.output_dir)
        with self.profile.measuring():
            return super().__call__(tree)


def _window(asked: argparse.Namespace, prepared: Prepared) -> Window:
    learnt_at_once = component_class(prepared.config.nodes["strategy"].target).whole_stream
    last = (1 if learnt_at_once else len(prepared.data)) - 1
    experience = last if asked.experience is None else asked.experience
    if experience > last:
        raise ConfigError(f"--experience={experience}: the last one of this stream is {last}.")
    return Window(experience, asked.warm_up, asked.steps, asked.shapes, asked.memory, asked.stacks)
