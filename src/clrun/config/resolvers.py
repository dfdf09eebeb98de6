"""The interpolations that clrun's own YAML files use."""

from __future__ import annotations

import os
import secrets
from functools import partial
from typing import Any

import omegaconf
from omegaconf import DictConfig, OmegaConf
from omegaconf.resolvers import oc

from clrun.disk.secrets import note_read


def register_resolvers() -> None:
    """Register them once in this process."""
    if not OmegaConf.has_resolver("clrun.job_folder"):
        # 2.4 gave the old name of before 2.1 its new meaning, and warns of the name between
        is_23 = omegaconf.__version__.startswith("2.3.")
        register = OmegaConf.register_new_resolver if is_23 else OmegaConf.register_resolver
        register("clrun.job_folder", _job_folder)
        register("clrun.id", partial(secrets.token_hex, 3))
        OmegaConf.clear_resolver("oc.env")
        register("oc.env", _env)


def _env(name: str, *default: Any) -> Any:
    """OmegaConf's own, which leaves no trace of a secret in what is written."""
    value = oc.env(name, *default)
    note_read(name, os.environ.get(name))
    return value


def _job_folder(*, _root_: DictConfig) -> str:
    """The folder of a sweep's job: strategy, benchmark, seed and a hash of the configuration."""
    from clrun.config.check import check  # with pydantic, which a help text does without

    config = check(_root_)
    return f"{config.label()}-{config.hash()}"
