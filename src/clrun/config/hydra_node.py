"""What of Hydra's own node makes code run or files be written, and may do so.

Callbacks, launchers, sweepers and logging name classes; `job.env_set` decides which programs are
started. Where all of a configuration is clrun's, an installed package's or typed, so is its node.
Where a folder of somebody else's is among its sources, each of these values must be typed, or be
one that an installation has without that folder, or have no such effect.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from clrun.config.sources import conf_root, package_folders
from clrun.config.trust import ADVICE, trust_now
from clrun.disk.secrets import is_secret
from clrun.errors import ConfigError, cut

Leaves = Mapping[str, Any]
"""Path, with dots -> value, uninterpolated; of Hydra's node."""

GUARDED = (
    "hydra.callbacks",
    "hydra.job_logging",
    "hydra.hydra_logging",
    "hydra.job.env_set",
    "hydra.job.env_copy",
    "hydra.job.name",
    "hydra.launcher",
    "hydra.sweeper",
    "hydra.output_subdir",
)

LOGGING_CLASSES = ("logging.StreamHandler", "logging.FileHandler", "logging.NullHandler")
LOG_FILES = ("${hydra.runtime.output_dir}/${hydra.job.name}.log", "${hydra.job.name}.log")
STREAMS = ("ext://sys.stdout", "ext://sys.stderr")
HANDLER_KEYS = ("class", "formatter", "level", "stream", "filename", "mode", "encoding", "delay")
FORMATTER_KEYS = ("format", "datefmt")
"""Not `style`: with braces a format can walk through the program's objects."""

PARAMS = "hydra.sweeper.params"
"""What is swept: its keys and values are checked as each job's."""

BASIC = {
    "hydra.launcher._target_": "hydra._internal.core_plugins.basic_launcher.BasicLauncher",
    "hydra.sweeper._target_": "hydra._internal.core_plugins.basic_sweeper.BasicSweeper",
}


def require_harmless(tree: DictConfig, installed: Callable[[], DictConfig]) -> None:
    """Refuse what a folder of somebody else's would have Hydra do.

    `installed` composes Hydra's node as it is without such folders.

    Raises:
        ConfigError: with a line for each such key.
    """
    _require_no_secret_copied(tree)
    if has_foreign_source(tree):
        require_harmless_saved(tree, installed)


def require_harmless_saved(tree: DictConfig, installed: Callable[[], DictConfig]) -> None:
    """As `require_harmless`, of a configuration that is read from a file, whoever wrote it.

    Raises:
        ConfigError: with a line for each such key.
    """
    if trust_now().everything:
        return
    node = _Node(tree, installed)
    problems = [
        f"{path}={cut(value)}: would run code or write files that a configuration file chose. "
        f"{ADVICE}"
        for path, value in node.refused()
    ]
    if problems:
        raise ConfigError(problems)


def has_foreign_source(tree: DictConfig) -> bool:
    """Whether somebody else's files may be in this configuration."""
    sources = OmegaConf.select(tree, "hydra.runtime.config_sources") or []
    ours = {folder.resolve() for folder in (conf_root(), *(f for _, f in package_folders()))}
    return any(
        source.schema == "file" and Path(source.path).resolve() not in ours for source in sources
    )


def _require_no_secret_copied(tree: DictConfig) -> None:
    for name in OmegaConf.select(tree, "hydra.job.env_copy") or []:
        if is_secret(str(name), os.environ.get(str(name), "")):
            raise ConfigError(
                f"hydra.job.env_copy={cut(name)}: would be written into the run folder. The run "
                "has the variable as it is."
            )


class _Node:
    """The guarded values of one configuration."""

    def __init__(self, tree: DictConfig, installed: Callable[[], DictConfig]) -> None:
        self._leaves = _guarded(tree)
        self._make_installed = installed

    def refused(self) -> Iterator[tuple[str, Any]]:
        """The values that nobody but a file chose, and that have an effect."""
        for path, value in self._leaves.items():
            is_said = trust_now().typed(path) or _has_no_effect(path, value)
            if not is_said and self._installed.get(path, ...) != value:
                shown = "..." if path.startswith("hydra.job.env_set") else value
                yield path, shown

    @cached_property
    def _installed(self) -> Leaves:
        """The same values in a configuration of what is installed and was typed."""
        try:
            return _guarded(self._make_installed())
        except Exception:  # what was typed is not there without the folder
            return {}


def _guarded(tree: DictConfig) -> Leaves:
    raw = OmegaConf.to_container(tree.hydra, resolve=False)
    return {path: value for path, value in _leaves("hydra", raw) if _is_guarded(path)}


def _is_guarded(path: str) -> bool:
    """Whether the path is below a guarded key, or above one where an interpolation may stand."""
    inner, outer = f"{path}.", [f"{key}." for key in GUARDED]
    return any(inner.startswith(key) or key.startswith(inner) for key in outer)


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The values below this path; of lists each item, by its place."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(f"{path}.{key}", inner)
    elif isinstance(value, list) and value:
        for place, inner in enumerate(value):
            yield from _leaves(f"{path}.{place}", inner)
    else:
        yield path, value


def _has_no_effect(path: str, value: Any) -> bool:
    """Whether the value of a guarded key is one that anybody may choose."""
    if value in ({}, [], None) or path.startswith(f"{PARAMS}.") or BASIC.get(path) == value:
        return True
    if path == "hydra.sweeper.max_batch_size":
        return True
    if path in ("hydra.job.name", "hydra.output_subdir"):
        return bool(re.fullmatch(r"\.?[\w-][\w.-]*", str(value)))
    for kind in ("hydra.job_logging.", "hydra.hydra_logging."):
        if path.startswith(kind):
            return _is_plain_logging(path.removeprefix(kind).split("."), value)
    return False


def _is_plain_logging(path: list[str], value: Any) -> bool:
    """Whether a value of a logging configuration names no class of its own and no file."""
    match path:
        case ["formatters", _, key]:
            return key in FORMATTER_KEYS and not _is_reference(value)
        case ["handlers", _, "class"]:
            return value in LOGGING_CLASSES
        case ["handlers", _, "filename"]:
            return value in LOG_FILES
        case ["handlers", _, "stream"]:
            return value in STREAMS
        case ["handlers", _, key]:
            return key in HANDLER_KEYS and not _is_reference(value)
        case ["root" | "loggers", *_]:
            return "()" not in path and not _is_reference(value)
        case ["version" | "disable_existing_loggers" | "incremental"]:
            return not _is_reference(value)
    return False


def _is_reference(value: Any) -> bool:
    """Whether `logging.config` would look for something by this text, or it is not known yet."""
    return isinstance(value, str) and ("://" in value or "${" in value)
