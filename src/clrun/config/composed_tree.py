"""What a composed tree says: its values, and where they are from."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from clrun.config.sources import conf_root, folders, make_importable
from clrun.config.trust import trust_now
from clrun.errors import ConfigError

OWN = {"command-line": "--config-dir", "main": "--config-path"}
"""Hydra's name for who adds a configuration folder -> the option by which a user does"""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where the values of a tree are from."""

    choices: Mapping[str, str]
    """group -> the option that was chosen"""
    folders: Sequence[Path]
    """the configuration folders, the first to win first"""
    where: tuple[str, ...]
    """the --config-* words that say where these are"""

    @classmethod
    def of(cls, composed: DictConfig) -> Origin:
        """Read from Hydra's node; code beside folders of one's own can be imported from now on."""
        make_importable(path for path, provider in _sources(composed) if provider in OWN)
        named = [path for path, _ in _sources(composed)]
        return cls(
            choices=dict(OmegaConf.select(composed, "hydra.runtime.choices") or {}),
            folders=[*named, *(folder for _, folder in folders() if folder not in named)],
            where=tuple(_where(composed)),
        )


def plain_tree(composed: DictConfig, keys: Collection[str] | None = None) -> dict[str, Any]:
    """The tree without Hydra's node, or some of its keys, as dicts and lists, interpolations
    resolved.

    Raises:
        ConfigError: an interpolation means nothing.
    """
    tree: dict[str, Any] = {}
    for key in (str(key) for key in composed if key != "hydra"):
        if keys is not None and key not in keys:
            continue
        try:
            value = OmegaConf.select(composed, key)
            if OmegaConf.is_config(value):
                value = OmegaConf.to_container(value, resolve=True)
        except OmegaConfBaseException as error:
            place = getattr(error, "full_key", None) or key
            raise ConfigError(f"{place}: {str(error).splitlines()[0]}.") from None
        tree[key] = value
    return tree


def _where(composed: DictConfig) -> Iterator[str]:
    for path, provider in _foreign(composed):
        yield from (OWN[provider], str(path))
    if trust_now().everything and _foreign(composed):
        yield "--trust"
    name = OmegaConf.select(composed, "hydra.job.config_name")
    if name not in (None, "config"):
        yield from ("--config-name", name)


def _sources(composed: DictConfig) -> list[tuple[Path, str]]:
    """The folders this tree was composed from, the first to win first, and who named each."""
    sources = OmegaConf.select(composed, "hydra.runtime.config_sources") or []
    return [(Path(s.path), str(s.provider)) for s in sources if s.schema == "file"]


def _foreign(composed: DictConfig) -> list[tuple[Path, str]]:
    """Those that a user named, but our own."""
    ours = conf_root().resolve()
    return [(p, by) for p, by in _sources(composed) if by in OWN and p.resolve() != ours]
