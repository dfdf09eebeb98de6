"""Calling a function as Hydra's main calls a job, with a configuration that is composed already."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

from hydra._internal.callbacks import Callbacks
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import configure_log, run_job
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from clrun.disk.files import storage_error, write_text
from clrun.disk.secrets import SecretsHidden, hidden_text
from clrun.errors import StorageError

Result = TypeVar("Result")


def call_as_job(tree: DictConfig, folder: Path, work: Callable[[Path], Result]) -> Result:
    """Call `work` with the run folder, which Hydra makes or finds, and return what it returns.

    As in every Hydra app the folder gets `.hydra/` and its log, and `hydra.job.chdir`,
    `hydra.job.env_set` and callbacks have their effect. What `work` raises comes out as it was
    raised.
    """
    failures: list[Exception] = []

    def task(_: DictConfig) -> Result:
        place = Path(HydraConfig.get().runtime.output_dir)
        hide_secrets(place)
        try:
            return work(place)
        except Exception as error:
            failures.append(error)
            raise

    _set(tree, folder)
    hydra_node, name = tree.hydra, tree.hydra.job.config_name
    configure_log(hydra_node.hydra_logging, hydra_node.verbose)
    callbacks = Callbacks(tree)
    callbacks.on_run_start(config=tree, config_name=name)
    context = HydraContext(config_loader=cast(Any, None), callbacks=callbacks)  # only sweeps load
    try:
        with hydra_storage_errors(folder):
            returned = run_job(task, tree, "hydra.run.dir", None, context)
    except StorageError:
        if failures:  # the first one of a full disk
            raise failures[0] from None
        raise
    callbacks.on_run_end(config=tree, config_name=name, job_return=returned)
    if failures:  # asking Hydra for the value would print its own words first
        raise failures[0]
    return cast(Result, returned.return_value)


def hide_secrets(folder: Path) -> None:
    """Keep secrets that the configuration read out of what Hydra writes for this job."""
    for handler in logging.getLogger().handlers:
        handler.addFilter(SecretsHidden())
    for path in folder.glob(".hydra/*.yaml"):
        text = path.read_text(encoding="utf-8")
        if hidden_text(text) != text:
            write_text(path, text)


@contextmanager
def hydra_storage_errors(folder: Path) -> Iterator[None]:
    """Report in one line what Hydra cannot write to a folder.

    Python's logging hides the reason behind a ValueError.
    """
    try:
        yield
    except (OSError, ValueError) as error:
        reason = error if isinstance(error, OSError) else error.__cause__
        if not isinstance(reason, OSError):
            raise
        raise storage_error(reason, reason.filename or folder) from error


def _set(tree: DictConfig, folder: Path) -> None:
    """Complete Hydra's node as its main does."""
    with read_write(tree), open_dict(tree):
        tree.hydra.mode = RunMode.RUN
        OmegaConf.update(tree, "hydra.run.dir", str(folder))
