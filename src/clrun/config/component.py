"""What a component need not say itself: it comes from the base class of its group.

A strategy, a storage policy and so on need not inherit from anything of ours. Where a class is
resolved, a subclass made on the fly puts the group's base behind it, so that everything else may
rely on members that are declared there.
"""

from __future__ import annotations

from functools import cache
from types import new_class
from typing import Any

from clrun.config.run_config import Node
from clrun.config.schema import component_class
from clrun.errors import ConfigError

BASES = {"strategy": "clrun.strategies.strategy:Strategy"}
"""Group -> the class whose members are the defaults of its components. Named, not imported: a
configuration is checked without torch."""


def component(node: Node) -> Any:
    """The class that a node names, with its group's defaults for what it does not declare.

    Imports its module, and with it torch.

    Raises:
        ConfigError: there is no such class, or it lacks a member that has no default.
    """
    cls = component_class(node.target)
    base = BASES.get(node.group)
    return cls if base is None else _complete(cls, component_class(base), node)


def _complete(cls: Any, base: type, node: Node) -> Any:
    if not isinstance(cls, type):
        raise ConfigError(f"{node.group}.target={node.target}: is not a class.")
    whole = completed(cls, base)
    missing = sorted(whole.__abstractmethods__)
    if missing:
        raise ConfigError(
            f"{node.group}.target={node.target}: the class has no {' and no '.join(missing)}, "
            f"which every {node.group} needs. See {base.__module__}.{base.__name__}."
        )
    return whole


@cache
def completed(cls: type, base: type) -> Any:
    """`cls`, or where it does not inherit from `base`, a subclass of both with `cls` first."""
    if issubclass(cls, base):
        return cls
    names = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    return new_class(cls.__name__, (cls, base), exec_body=lambda body: body.update(names))
