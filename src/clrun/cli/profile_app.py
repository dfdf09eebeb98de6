"""The Hydra side of `clrun profile`: composed, checked and run as any other run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from clrun.cli import hydra_app
from clrun.cli.hydra_errors import explained
from clrun.cli.request import Request, parse
from clrun.config.check import check
from clrun.config.compose import compose_tree
from clrun.config.run_config import RunConfig
from clrun.errors import ConfigError
from clrun.records.run_folder import fresh_folder

if TYPE_CHECKING:
    from clrun.cli.profile_job import ProfiledRun


def checked(arguments: argparse.Namespace) -> tuple[Request, RunConfig, Path | None]:
    """The configuration, and the run folder where the command line names one.

    Raises:
        ConfigError: with one line for each problem.
    """
    request = parse([*_config_options(arguments), *arguments.overrides])
    try:
        tree = compose_tree(request.overrides, **request.where())
        if OmegaConf.select(tree, "hydra.mode") == RunMode.MULTIRUN:
            raise ConfigError("hydra.mode=MULTIRUN: clrun profile measures one run. Leave it out.")
        config = check(tree, request.overrides)
        return request, config, hydra_app._given(request, tree, "hydra.run.dir")
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(explained(error)) from error


def run(request: Request, config: RunConfig, job: ProfiledRun, folder: Path | None) -> None:
    """The job through Hydra's own main, in a fresh folder or this one; raises what stopped it."""
    if folder is None:
        folder = fresh_folder(Path(config.root.output_root))
    hydra_app._hydra(request, job, f"hydra.run.dir={hydra_app._quoted(folder)}")
    job.raise_failure()


def _config_options(arguments: argparse.Namespace) -> list[str]:
    """The options that are Hydra's, as it reads them."""
    options = ("config_dir", "config_path", "config_name")
    return [
        word
        for name in options
        if getattr(arguments, name) is not None
        for word in (f"--{name.replace('_', '-')}", getattr(arguments, name))
    ]
