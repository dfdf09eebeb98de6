"""Hydra's errors as one line each: the key, the value, what is allowed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from clrun.errors import ConfigError, did_you_mean


@contextmanager
def explained_errors() -> Iterator[None]:
    """Raise Hydra's errors from inside as a ConfigError of one line."""
    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(explained(error)) from error


def explained(error: HydraException | OmegaConfBaseException) -> str:
    """One line that a person can act on."""
    if isinstance(error, MissingConfigException) and error.options is not None:
        return _unknown_option(error)
    if isinstance(error, OverrideParseException):
        return f"{error.override}: cannot be read. Write KEY=VALUE; quote what has special signs."
    text = re.sub(r"\s+", " ", str(error).strip())
    ambiguous = re.match(r"Ambiguous value for argument '(.*?)' 1", text)
    if ambiguous:
        word = ambiguous[1]
        key, _, values = word.partition("=")
        return f"{word}: several values. Add -m to run each, or write a list: {key}=[{values}]."
    return text.rstrip(".") + "."


def _unknown_option(error: MissingConfigException) -> str:
    group, _, name = str(error.missing_cfg_file or "").rpartition("/")
    names = sorted(error.options or [])
    return (
        f"{group}={name}: there is no such option.{did_you_mean(name, names)} "
        f"Options: {', '.join(names)}."
    )
