"""`clrun --cfg`: the composed configuration as YAML, whole or one package of it."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import Container, DictConfig, OmegaConf, open_dict, read_write

from clrun.cli.request import Request
from clrun.config.compose import compose_tree, initialized
from clrun.config.composing import composing
from clrun.config.sweep_words import read_sweep
from clrun.errors import ConfigError, did_you_mean

WHOLE = (None, "_global_")
"""The packages that mean everything."""


def config_texts(request: Request) -> Iterator[str]:
    """What Hydra would print; with -m a YAML document for each job, one alone where a sweeper is to
    propose them.

    Raises:
        ConfigError: there is no such package.
        HydraException, OmegaConfBaseException: it cannot be composed or resolved.
    """
    if not request.arguments.multirun:
        yield _text(compose_tree(request.overrides, **request.where()), request.arguments)
        return
    where = request.where()
    name = where.pop("config_name")
    with initialized(**where) as app:
        sweep = read_sweep(app, name, request.overrides)
        jobs = list(sweep.checked())[: None if sweep.is_listed else 1]
        for number, job in enumerate(jobs):
            text = _text(sweep.composed(job).tree, request.arguments)
            yield f"---\n# job {number}: {' '.join(job)}\n{text}"


def _text(tree: DictConfig, asked: Namespace) -> str:
    """One tree; interpolations are resolved in the whole of it, or not at all."""
    with _as_hydras_own(tree), read_write(tree), open_dict(tree):
        if asked.resolve:
            if OmegaConf.is_missing(tree.hydra.runtime, "output_dir"):  # Hydra 1.4 insists on it
                tree.hydra.runtime.output_dir = "${hydra.run.dir}"
            with composing():
                OmegaConf.resolve(tree)
        _leave_out(tree, asked.cfg)
        shown = _package(tree, asked.package)
    if not isinstance(shown, Container):
        return f"{shown}\n"
    heading = "" if asked.package in WHOLE else f"# @package {asked.package}\n"
    return heading + OmegaConf.to_yaml(shown)


@contextmanager
def _as_hydras_own(tree: DictConfig) -> Iterator[None]:
    """Let `${hydra:...}` in the tree mean the tree's own node."""
    before = HydraConfig.instance().cfg
    HydraConfig.instance().set_config(tree)
    OmegaConf.set_readonly(tree.hydra, None)
    try:
        yield
    finally:
        HydraConfig.instance().cfg = before


def _leave_out(tree: DictConfig, kind: str) -> None:
    """Take away what `--cfg job` or `--cfg hydra` does not show."""
    if kind == "job":
        del tree["hydra"]
    elif kind == "hydra":
        for key in [key for key in tree if key != "hydra"]:
            del tree[key]
        with open_dict(tree.hydra):
            del tree.hydra["hydra_help"], tree.hydra["help"]


def _package(tree: DictConfig, package: str | None) -> Any:
    if package in WHOLE:
        return tree
    found = OmegaConf.select(tree, package)
    if found is None:
        parent, _, name = package.rpartition(".")
        around = OmegaConf.select(tree, parent) if parent else tree
        names = [str(key) for key in around] if isinstance(around, DictConfig) else []
        raise ConfigError(
            f"--package={package}: there is no such package.{did_you_mean(name, names)} "
            f"{f'Packages of {parent}' if parent else 'Packages'}: {', '.join(names)}."
        )
    return found
