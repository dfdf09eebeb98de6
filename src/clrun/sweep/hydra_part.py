"""Hydra's part of a job's folder and process, as every Hydra app has it.

It is read once for all jobs of a stream from what the sweep was composed of: to compose each job
again would take longer than a short run. Imported where torch is.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import yaml
from hydra._internal.callbacks import Callbacks
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus, configure_log
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from clrun.config.compose import installed
from clrun.config.hydra_node import require_harmless_saved
from clrun.config.resolvers import register_resolvers
from clrun.config.run_config import RunConfig
from clrun.config.sources import conf_root
from clrun.config.yaml_file import yaml_errors, yaml_text
from clrun.disk.files import storage_errors, write_text
from clrun.disk.secrets import SecretsHidden
from clrun.errors import ConfigError
from clrun.sweep.folder import MULTIRUN
from clrun.sweep.unit import Unit

USUAL_LOG = "clrun"

CHANGING = ("job", "runtime", "overrides")
"""What of Hydra's node is another for each job."""

_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class HydraPart:
    """What the jobs of one sweep have of Hydra."""

    def __init__(self, tree: DictConfig) -> None:
        """`tree` has at least Hydra's node."""
        self._tree = tree
        node = cast(dict[str, Any], OmegaConf.to_container(tree.hydra, resolve=False))
        self._texts = {key: _text({key: value}) for key, value in node.items()}

    @classmethod
    def of_sweep(cls, sweep: Path) -> HydraPart:
        """What the sweep in a folder was composed of; of one that does not say it, the usual.

        Raises:
            ConfigError: it is damaged, or would have Hydra do harm.
        """
        register_resolvers()
        path = sweep / MULTIRUN
        if not path.exists():
            return cls(_usual())
        text = yaml_text(path)
        try:
            with yaml_errors(path):
                found = yaml.load(text, Loader=_SafeLoader)
            tree = OmegaConf.create({"hydra": dict(found["hydra"])})
        except (ValueError, TypeError, KeyError) as error:
            reason = " ".join(str(error).split())
            raise ConfigError(f"{path}: is damaged: {reason}") from None
        require_harmless_saved(tree, installed(()))
        return cls(tree)

    @property
    def log(self) -> str:
        """The name of a job's log, without its .log."""
        return str(self._tree.hydra.job.name)

    def enter(self, unit: Unit, config: RunConfig) -> None:
        """Let this process be the unit's, for good: its log, its folder, its environment."""
        self._complete(unit, config)
        tree, node = self._tree, self._tree.hydra
        HydraConfig.instance().cfg = tree  # type: ignore[assignment]
        with storage_errors(unit.folder):
            configure_log(node.job_logging, node.verbose)
        for handler in logging.getLogger().handlers:
            handler.addFilter(SecretsHidden())
        self._save(unit)
        if node.job.get("chdir"):
            os.chdir(unit.folder)
        os.environ.update({key: str(value) for key, value in node.job.env_set.items()})

    @contextmanager
    def called_back(self, unit: Unit, config: RunConfig) -> Iterator[None]:
        """Call the callbacks that there are around a job, in the process that is the unit's."""
        if unit.job is None or not self._tree.hydra.get("callbacks"):
            yield
            return
        tree = OmegaConf.create({**config.as_dict(), "hydra": self._tree.hydra})
        callbacks, returned = Callbacks(tree), JobReturn(status=JobStatus.COMPLETED)
        callbacks.on_job_start(config=tree, task_function=_nothing)
        try:
            yield
        except BaseException as error:
            returned.status, returned.return_value = JobStatus.FAILED, error
            raise
        finally:
            callbacks.on_job_end(config=tree, job_return=returned)

    def _complete(self, unit: Unit, config: RunConfig) -> None:
        """Say in Hydra's node which job it is."""
        with read_write(self._tree), open_dict(self._tree):
            node = self._tree.hydra
            node.runtime.output_dir = str(unit.folder)
            node.runtime.choices.update({n.group: n.option for n in config.nodes.values()})
            if unit.job is not None:
                node.job.id, node.job.num = str(unit.job.number), unit.job.number
                node.overrides.task = list(unit.job.overrides)
                node.job.override_dirname = _dirname(unit.job.overrides, node.job)

    def _save(self, unit: Unit) -> None:
        """Write hydra.yaml; the others of its folder are written with the run's record."""
        subfolder = self._tree.hydra.get("output_subdir")
        if unit.job is None or subfolder is None:
            return
        path = unit.folder / str(subfolder) / "hydra.yaml"
        with storage_errors(path):
            path.parent.mkdir(exist_ok=True)
        texts = dict(self._texts)
        for key in CHANGING:
            texts[key] = _text({key: OmegaConf.to_container(self._tree.hydra[key], resolve=False)})
        indented = "".join(texts.values()).replace("\n", "\n  ").removesuffix("  ")
        write_text(path, f"hydra:\n  {indented}")


def _usual() -> DictConfig:
    """What the jobs of a sweep that was not composed have: clrun's log."""
    log = OmegaConf.load(conf_root() / "hydra" / "job_logging" / "clrun.yaml")
    job = {"name": USUAL_LOG, "env_set": {}, "config": {"override_dirname": {}}}
    node: dict[str, Any] = {
        "job": job,
        "job_logging": log,
        "verbose": False,
        "runtime": {"choices": {}},
        "overrides": {},
        "output_subdir": ".hydra",
    }
    return OmegaConf.create({"hydra": node})


def _dirname(overrides: tuple[str, ...], job: Mapping[str, Any]) -> str:
    """What Hydra calls `override_dirname`."""
    keys = job["config"].get("override_dirname") or {}
    left_out = set(keys.get("exclude_keys") or ())
    words = sorted(w for w in overrides if w.partition("=")[0].lstrip("+~") not in left_out)
    return str(keys.get("item_sep") or ",").join(words).replace("=", keys.get("kv_sep") or "=")


def _text(value: Mapping[str, Any]) -> str:
    return str(yaml.dump(value, Dumper=_DUMPER, sort_keys=False, allow_unicode=True))


def _nothing(_: DictConfig) -> None:
    """Stands for the function that Hydra's own launchers would call."""
