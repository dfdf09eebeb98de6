"""Hydra's doors for any input: bounded, and what Hydra did not foresee is one line."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from clrun.config.budget import bounded
from clrun.config.typed_words import require_short
from clrun.errors import ConfigError, cut

UNFORESEEN = (
    TypeError,
    ValueError,
    AssertionError,
    AttributeError,
    LookupError,
    OSError,
    MemoryError,
)
"""What Hydra raises where it does not expect such input; its own are HydraException."""


@contextmanager
def composing() -> Iterator[None]:
    """Bound what Hydra composes inside, and report in one line what it did not foresee.

    Raises:
        ConfigError: Hydra or OmegaConf stumbled over the input.
    """
    try:
        with bounded(), _unavailable_folders_raise():
            yield
    except UserWarning as warning:
        raise ConfigError(f"hydra.searchpath: {cut(warning, 300)}") from None
    except RecursionError:
        raise ConfigError(
            "configuration: a file includes itself, or values are nested without end."
        ) from None
    except (HydraException, OmegaConfBaseException):
        raise
    except UNFORESEEN as error:
        first = (str(error).strip().splitlines() or [""])[0].rstrip(".")
        reason = f": {cut(first, 200)}" if first else ""
        raise ConfigError(
            f"configuration: cannot be composed ({type(error).__name__}{reason})."
        ) from error


@contextmanager
def _unavailable_folders_raise() -> Iterator[None]:
    """Let Hydra's warning of a folder that is not there be an error."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "provider=.* is not available", UserWarning)
        yield


def parsed(overrides: Sequence[str], parser: OverridesParser | None = None) -> list[Override]:
    """The overrides as Hydra's grammar reads them.

    Raises:
        ConfigError: one is too long to be read in time.
        OverrideParseException: one cannot be read.
    """
    require_short(overrides)
    with composing():
        return (parser or OverridesParser.create()).parse_overrides(list(overrides))
