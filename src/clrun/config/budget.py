"""How much composing a configuration may make of a few short files, before it is refused.

`a1: ${a0}${a0}`, `a2: ${a1}${a1}` and so on, or files that include one another, double with each
line. What is counted here, `counting` counts at the doors of OmegaConf and Hydra.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from clrun.errors import ConfigError

MOST_INTERPOLATIONS = 500
MOST_CHARACTERS = 10_000_000
"""of all that interpolations stand for"""
CHARACTERS_OF_A_VALUE = 100
"""As many as a value counts that is no text."""
MOST_CONTAINERS = 20_000
"""lists and mappings that are made plain; a usual composition makes a dozen"""
MOST_INCLUDED = 1_000
"""files that are included, one that is included twice counted twice"""
MOST_INTERPOLATED = 50_000
"""characters of texts with an interpolation, in all files: they go through a grammar"""


@dataclass
class Spent:
    """What a configuration that is composed now has cost by now."""

    interpolations: int = 0
    characters: int = 0
    containers: int = 0
    included: int = 0
    texts: int = 0

    def interpolation(self, *, characters: int = 0, values: int = 0) -> None:
        """Count an interpolation that is to be resolved, or what one stands for.

        Raises:
            ConfigError: it is too much.
        """
        self.interpolations += not (characters or values)
        self.characters += characters + CHARACTERS_OF_A_VALUE * values
        if self.interpolations > MOST_INTERPOLATIONS or self.characters > MOST_CHARACTERS:
            raise ConfigError(
                f"stands for too much: more than {MOST_INTERPOLATIONS:,} interpolations, or "
                f"{MOST_CHARACTERS:,} characters"
            )

    def container(self) -> None:
        """Count a list or a mapping that is made plain.

        Raises:
            ConfigError: it is one too many.
        """
        self.containers += 1
        if self.containers > MOST_CONTAINERS:
            raise ConfigError(
                f"stands for too much: more than {MOST_CONTAINERS:,} lists and mappings"
            )

    def interpolated(self, path: object, characters: int) -> None:
        """Count the texts of a file that have to be read for interpolations.

        Raises:
            ConfigError: they are too long.
        """
        self.texts += characters
        if self.texts > MOST_INTERPOLATED:
            raise ConfigError(
                f"{path}: its texts with ${{...}} have more than {MOST_INTERPOLATED:,} characters."
            )

    def inclusion(self, path: str) -> None:
        """Count a file that a defaults list names.

        Raises:
            ConfigError: it is one too many.
        """
        self.included += 1
        if self.included > MOST_INCLUDED:
            raise ConfigError(
                f"{path}: is one of more than {MOST_INCLUDED:,} files that include one another."
            )


_NOW: ContextVar[Spent | None] = ContextVar("spent", default=None)


def spent_now() -> Spent | None:
    """What counts where `bounded` asks for it."""
    return _NOW.get()


@contextmanager
def bounded() -> Iterator[None]:
    """Bound what is composed and resolved inside."""
    before = _NOW.set(Spent())
    try:
        yield
    finally:
        _NOW.reset(before)


def note_interpolated(path: object, characters: int) -> None:
    """Count the texts with interpolations of a file that is composed now.

    Raises:
        ConfigError: with those of other files they are too long.
    """
    (spent_now() or Spent()).interpolated(path, characters)
