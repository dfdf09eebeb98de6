"""Compose a configuration with Hydra outside Hydra's own main, and check it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import hydra
from hydra._internal.hydra import Hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import OverrideType
from hydra.errors import ConfigCompositionException
from hydra.types import RunMode
from omegaconf import DictConfig

from clrun.config.choices import require_choices
from clrun.config.composing import composing, parsed
from clrun.config.hydra_errors import explained_errors
from clrun.config.hydra_node import require_harmless
from clrun.config.resolvers import register_resolvers
from clrun.config.search_path import extra_folders, register
from clrun.config.sources import GROUPS, LOGGERS, RECIPES, conf_root
from clrun.config.trust import trusting, typed
from clrun.errors import ConfigError

if TYPE_CHECKING:
    from clrun.config.run_config import RunConfig


def version_base() -> dict[str, str]:
    """Keywords for Hydra: 1.3 wants its behaviour named, 1.4 warns about the name."""
    needed = inspect.signature(hydra.initialize_config_dir).parameters.get("version_base")
    is_13 = hydra.__version__.startswith("1.3")
    return {"version_base": "1.3"} if needed is not None and is_13 else {}


class Composed(NamedTuple):
    """A configuration as Hydra composes it, with its own node, and as clrun reads it."""

    tree: DictConfig
    config: RunConfig


@contextmanager
def initialized(
    config_dirs: Sequence[Path] = (), config_path: Path | None = None
) -> Iterator[Hydra]:
    """Hydra with our folders and resolvers, apart from one that a caller may have."""
    register()
    register_resolvers()
    where = str((config_path or conf_root()).resolve())
    with (
        extra_folders(config_dirs),
        _fresh_hydra(),
        hydra.initialize_config_dir(where, job_name="clrun", **version_base()),
    ):
        app = GlobalHydra.instance().hydra
        assert app is not None, "initialize_config_dir makes it"
        yield app


def compose_tree(
    overrides: Sequence[str],
    *,
    config_dirs: Sequence[Path] = (),
    config_path: Path | None = None,
    config_name: str = "config",
    force: bool = False,
    announce: bool = False,
) -> DictConfig:
    """The composed tree with Hydra's own node.

    `force` lets through keys that do not exist, for `check` to name them all; `announce` sets up
    Hydra's logging, which shows how it composed if `hydra.verbose` asks for that.
    """
    require_choices(parsed(overrides))
    with composing(), initialized(config_dirs, config_path) as app:
        words = forced(overrides) if force else list(overrides)
        # as hydra.compose calls it, which cannot announce
        return app.compose_config(
            config_name, words, RunMode.RUN, with_log_configuration=announce, from_shell=False
        )


def compose_checked(overrides: Sequence[str] = (), **where: Any) -> Composed:
    """The composed tree of a run, and its checked configuration.

    Raises:
        ConfigError: with one line for each problem; see `trust` for what files may not say.
    """
    with trusting(typed(overrides)):
        return compose_as_trusted(overrides, **where)


def compose_as_trusted(overrides: Sequence[str] = (), **where: Any) -> Composed:
    """`compose_checked` for words that stood in a file: what they name is not trusted for that.

    Raises:
        ConfigError: with one line for each problem.
    """
    from clrun.config.check import check  # with pydantic, which a help text does without

    with explained_errors():
        try:
            tree = compose_tree(overrides, **where)
        except ConfigCompositionException:  # names the first key that does not exist
            forced_tree = compose_tree(overrides, force=True, **where)
            require_harmless(forced_tree, installed(overrides))
            check(forced_tree, overrides)
            raise
        require_harmless(tree, installed(overrides))
        return Composed(tree, check(tree, overrides))


def installed(overrides: Sequence[str]) -> Callable[[], DictConfig]:
    """What composes Hydra's node of these words without anybody's folders."""
    words = [word for word in overrides if word.lstrip("+~").startswith(("hydra.", "hydra/"))]
    return partial(compose_tree, words)


def compose(overrides: Sequence[str] = (), *, trust: bool = False, **where: Any) -> RunConfig:
    """A checked configuration from command-line overrides, e.g. ["strategy=naive", "seed=3"].

    With `trust`, files of the folders that `where` names may name code of their own.

    Raises:
        ConfigError: with one line for each problem.
    """
    _require_words(overrides)
    with trusting(typed(overrides, everything=trust)):
        return compose_checked(overrides, **where).config


def _require_words(overrides: Sequence[str]) -> None:
    """Refuse what is no list of words: a text would be taken for its letters."""
    if isinstance(overrides, str):
        raise ConfigError(f'compose: overrides are a list: compose(["{overrides}"]).')
    if isinstance(overrides, Mapping):
        words = [f"{key}={value}" for key, value in overrides.items()]
        raise ConfigError(f"compose: overrides are a list of words: compose({words}).")
    for word in overrides:
        if not isinstance(word, str):
            raise ConfigError(f'compose: {word!r} is no text. Write e.g. "strategy=naive".')


def forced(overrides: Sequence[str]) -> list[str]:
    """Keys set even where there are none, so that `check` can name all unknown ones at once."""
    words = []
    for override in parsed(overrides):
        key = override.key_or_group
        is_group = key in (*GROUPS, LOGGERS, RECIPES) or "/" in key or key.startswith("hydra")
        is_key = override.type == OverrideType.CHANGE and not is_group
        forced = is_key and not override.is_sweep_override()
        words.append(f"++{override.input_line}" if forced else str(override.input_line))
    return words


@contextmanager
def _fresh_hydra() -> Iterator[None]:
    """Hydra keeps one global state; put a caller's aside and back (notebooks, tests, jobs)."""
    before = GlobalHydra.instance().hydra, HydraConfig.instance().cfg
    GlobalHydra.instance().clear()
    try:
        yield
    finally:
        GlobalHydra.instance().hydra, HydraConfig.instance().cfg = before
