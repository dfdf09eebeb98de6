"""Which code a configuration may name: clrun's, that of installed packages, what the user typed.

A configuration file may come from anybody: a run folder to repeat, a recipe. It must not decide
what runs on this machine. So a class is used only where

- it is clrun's, or of an installed package that registered options (the entry point `clrun.conf`):
  whoever installed that package lets it run;
- or its name was typed on the command line, or given to `clrun.compose`: who types a word means it;
- or `--trust` (`trust=True` from Python) says that the files may name any.

Typing the folder of a file, or the name of an option in it, is not typing what it says.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache

from clrun.errors import ConfigError, cut

ENTRY_POINT = "clrun.conf"
"""An installed package adds options with an entry point of this group naming its config package."""

TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
"""package.module:Class"""

ADVICE = "Add --trust if you trust the files that say so."


@dataclass(frozen=True)
class Trust:
    """What was said of the files that a configuration comes from."""

    everything: bool = False
    """`--trust`: they may name any code"""
    keys: frozenset[str] = frozenset()
    """the keys and groups that were typed"""
    targets: frozenset[str] = frozenset()
    """the classes that were typed"""

    def typed(self, path: str) -> bool:
        """Whether this key, or one that it is part of, was typed."""
        parts = path.split(".")
        return any(".".join(parts[:count]) in self.keys for count in range(1, len(parts) + 1))


NONE = Trust()
_NOW: ContextVar[Trust] = ContextVar("trust", default=NONE)


def trust_now() -> Trust:
    """What holds for the configuration that is read now."""
    return _NOW.get()


@contextmanager
def trusting(trust: Trust) -> Iterator[None]:
    """Let this hold inside."""
    before = _NOW.set(trust)
    try:
        yield
    finally:
        _NOW.reset(before)


def typed(overrides: Sequence[str], *, everything: bool = False) -> Trust:
    """What holds where somebody typed these words; what was granted around them stays so."""
    keys = (word.partition("=")[0].lstrip("+~").partition("@")[0] for word in overrides)
    targets = (name for word in overrides for name in TARGET.findall(word.partition("=")[2]))
    granted = everything or trust_now().everything
    return Trust(everything=granted, keys=frozenset(keys), targets=frozenset(targets))


def is_trusted(target: str) -> bool:
    """Whether the class of this name, package.module:Class, may be used."""
    now = trust_now()
    package = target.partition(":")[0].partition(".")[0]
    return now.everything or target in now.targets or package in trusted_packages()


def needed(targets: Iterable[str]) -> bool:
    """Whether `--trust` is needed to use these classes again where nobody types their names."""
    known = trusted_packages()
    return any(target.partition(":")[0].partition(".")[0] not in known for target in targets)


def require_trusted(target: str) -> None:
    """Refuse a class that only a file names, before anything of it is looked for.

    Raises:
        ConfigError: it is such a class.
    """
    if not is_trusted(target):
        package = cut(target.partition(":")[0])
        raise ConfigError(
            f"target={cut(target)}: {package} is code of neither clrun nor an installed package "
            f"with options for it. {ADVICE}"
        )


def trusted_packages() -> frozenset[str]:
    """clrun, and the installed packages that registered options."""
    return frozenset(("clrun", *(value.partition(".")[0] for value in registered())))


def registered() -> tuple[str, ...]:
    """The configuration packages of what is installed, by the names of their entry points."""
    return _registered(tuple(sys.path))


@cache
def _registered(_path: tuple[str, ...]) -> tuple[str, ...]:
    """Looked for once for each path: that takes 20 ms and more."""
    from importlib.metadata import entry_points

    found = sorted(entry_points(group=ENTRY_POINT), key=lambda entry: entry.name)
    return tuple(entry.value for entry in found)
