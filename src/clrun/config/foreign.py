"""Parts of users and other packages: what they lack or raise is one line that names them."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from typing_extensions import get_protocol_members

from clrun.config.run_config import Node
from clrun.errors import ClrunError, ConfigError


def called(node: Node) -> str:
    """A node as it was typed: `model=mine`."""
    if node.group == "plugin":
        return f"strategy.plugins: {node.option}"
    return f"{node.group}={node.option}"


def require_members(node: Node, made: object, protocol: type) -> None:
    """Refuse an object of a node's class that lacks a member of the protocol.

    Raises:
        ConfigError: with all members that there must be.
    """
    members = sorted(get_protocol_members(protocol))
    missing = [name for name in members if not _has(made, name)]
    if missing:
        raise ConfigError(
            f"{called(node)}: {node.target} has no {' and no '.join(missing)}. It must have "
            f"{', '.join(members)}: see {protocol.__module__}.{protocol.__name__}."
        )
    require_calls(called(node), type(made), protocol)


def _has(made: object, name: str) -> bool:
    """Whether there is such a member; a property is not computed for it."""
    nothing = object()
    return inspect.getattr_static(made, name, nothing) is not nothing or hasattr(made, name)


def require_calls(name: str, cls: type, base: type) -> None:
    """Refuse a class with a method that cannot be called as the one of `base` can.

    Raises:
        ConfigError: with the arguments that it must take; `name` is what is refused.
    """
    for member, ours in vars(base).items():
        theirs = inspect.getattr_static(cls, member, ours)
        if member.startswith("_") or theirs is ours:
            continue
        if not (inspect.isfunction(ours) and inspect.isfunction(theirs)):
            continue
        wanted = inspect.signature(ours).parameters
        named = {key: key for key, p in wanted.items() if p.kind is p.KEYWORD_ONLY}
        try:
            inspect.signature(theirs).bind(*(key for key in wanted if key not in named), **named)
        except TypeError:
            taken = f"{member}({', '.join(inspect.signature(theirs).parameters)})"
            raise ConfigError(
                f"{name}: {taken} must take ({', '.join(wanted)}): see "
                f"{base.__module__}.{base.__name__}."
            ) from None


@contextmanager
def explained(node: Node, what: str) -> Iterator[None]:
    """Report what the class of a node raises inside as one line; `what` is called of it.

    A class of ours is left alone: it says itself what is wrong with its keys, and anything else
    that it raises is a fault of clrun's.

    Raises:
        ConfigError: with the error, and where in the user's file it was raised.
    """
    try:
        yield
    except ClrunError:
        raise
    except Exception as error:
        if node.target.startswith("clrun."):
            raise
        line = f"{called(node)}: {node.target}{what} fails: {in_a_line(error)}"
        raise ConfigError(line) from error


def in_a_line(error: Exception) -> str:
    """The error's kind, the first line of its text, and the place that raised it."""
    if isinstance(error, SyntaxError):  # whose text has the place
        return f"{type(error).__name__}: {error}."
    text = (str(error).splitlines() or [""])[0]
    frames = traceback.extract_tb(error.__traceback__)
    written = [frame for frame in frames if not _is_installed(Path(frame.filename))]
    place = (written or frames)[-1]
    where = f"{Path(place.filename).name}, line {place.lineno}"
    return f"{type(error).__name__}: {text.rstrip('.')} ({where})."


def _is_installed(file: Path) -> bool:
    """Whether a line of code is clrun's or a library's, so that the mistake is not in it."""
    ours = Path(__file__).resolve().parents[1]
    return "site-packages" in file.parts or ours in file.resolve().parents
