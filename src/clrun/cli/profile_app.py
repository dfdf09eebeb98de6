"""The Hydra side of `clrun profile`: composed and checked as any other run."""

from __future__ import annotations

import argparse

from hydra.types import RunMode

from clrun.cli.named_folder import RUN, named_folder
from clrun.cli.request import parse
from clrun.config.compose import Composed, compose_checked
from clrun.config.hydra_errors import explained_errors
from clrun.errors import ConfigError


def composed(arguments: argparse.Namespace) -> Composed:
    """The configuration of the one run to measure.

    Raises:
        ConfigError: with one line for each problem.
    """
    with explained_errors():
        request = parse([*_config_options(arguments), *arguments.overrides])
        found = compose_checked(request.overrides, **request.where())
    if found.tree.hydra.mode == RunMode.MULTIRUN:
        raise ConfigError("hydra.mode=MULTIRUN: clrun profile measures one run. Leave it out.")
    named_folder(found.tree, RUN)  # one that cannot be is refused at once
    return found


def _config_options(arguments: argparse.Namespace) -> list[str]:
    """The options that are Hydra's, as it reads them."""
    options = ("config_dir", "config_path", "config_name")
    return [
        word
        for name in options
        if getattr(arguments, name) is not None
        for word in (f"--{name.replace('_', '-')}", getattr(arguments, name))
    ]
