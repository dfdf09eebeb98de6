"""Counts what OmegaConf resolves and Hydra includes; neither bounds that, or has a place to."""

from __future__ import annotations

from typing import Any

from hydra._internal.config_repository import CachingConfigRepository
from omegaconf import Container, OmegaConf
from omegaconf.basecontainer import BaseContainer
from omegaconf.errors import InterpolationResolutionError

from clrun.config.budget import spent_now
from clrun.errors import ConfigError


class TooMuch(InterpolationResolutionError):
    """Passes through OmegaConf as it was raised."""


def count_what_is_composed() -> None:
    """Count from now on, where `bounded` asks; doing it again changes nothing."""
    if not hasattr(Container.resolve_parse_tree, "_is_counted"):
        Container.resolve_parse_tree = _counted_interpolations(Container.resolve_parse_tree)  # type: ignore[method-assign]
        plain = BaseContainer._to_content
        BaseContainer._to_content = staticmethod(_counted_containers(plain))  # type: ignore[method-assign]
        load = CachingConfigRepository.load_config
        CachingConfigRepository.load_config = _counted_inclusions(load)  # type: ignore[method-assign]


def _counted_interpolations(resolve: Any) -> Any:
    def counted(self: Container, *given: Any, **named: Any) -> Any:
        spent = spent_now()
        if spent is None:
            return resolve(self, *given, **named)
        try:
            spent.interpolation()
            value = resolve(self, *given, **named)
            if isinstance(value, str):
                spent.interpolation(characters=len(value))
            elif isinstance(value, Container):
                spent.interpolation(values=_values(OmegaConf.to_container(value)))
        except ConfigError as error:
            raise TooMuch(str(error)) from None
        return value

    counted._is_counted = True  # type: ignore[attr-defined]
    return counted


def _counted_containers(plain: Any) -> Any:
    """OmegaConf 2.4 resolves an interpolation once, and makes lists of it as often as it is met."""

    def counted(*given: Any, **named: Any) -> Any:
        spent = spent_now()
        if spent is not None:
            try:
                spent.container()
            except ConfigError as error:
                raise TooMuch(str(error)) from None
        return plain(*given, **named)

    return counted


def _counted_inclusions(load: Any) -> Any:
    def counted(self: CachingConfigRepository, config_path: str) -> Any:
        spent = spent_now()
        if spent is not None:
            spent.inclusion(config_path)
        return load(self, config_path)

    return counted


def _values(plain: Any) -> int:
    """How many values a list or mapping holds, in any depth, itself counted."""
    if isinstance(plain, dict):
        plain = list(plain.values())
    return 1 + sum(map(_values, plain)) if isinstance(plain, list) else 1
