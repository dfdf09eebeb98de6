"""What a component need not say itself: it comes from the base class of its group.

A strategy, a storage policy and so on need not inherit from anything of ours. Where a class is
resolved, a subclass made on the fly puts the group's base behind it, so that everything else may
rely on members that are declared there. `Config` classes are completed in the same way.
"""

from __future__ import annotations

from functools import cache
from types import new_class
from typing import Any, NamedTuple

from clrun.config.foreign import require_calls
from clrun.config.literals import MISSING, literal
from clrun.config.run_config import Node
from clrun.config.schema import component_class, config_class
from clrun.errors import ConfigError


class Base(NamedTuple):
    """The classes whose members are the defaults of a group. Named, not imported: see `literals`"""

    component: str | None = None
    keys: str = "clrun.config.keys:Keys"
    """of the `Config`; without torch"""
    suited: str | None = None
    """a function from a class and its checked keys to the class that a run makes"""


BASES = {
    "strategy": Base(
        "clrun.strategies.strategy:Strategy", suited="clrun.strategies.on_latents:suited"
    ),
    "storage_policy": Base(
        "clrun.memory.storage_policy:StoragePolicy", "clrun.memory.policy_keys:PolicyKeys"
    ),
    "selection": Base("clrun.memory.selection:ClassExemplarsSelectionStrategy"),
}


def component(node: Node) -> Any:
    """The class that a node names, with its group's defaults for what it does not declare.

    Imports its module, and with it torch.

    Raises:
        ConfigError: there is no such class, or it lacks a member that has no default.
    """
    cls, base = component_class(node.target), _base(node.group)
    if base.component is None:
        return cls
    whole = _complete(cls, component_class(base.component), node)
    return whole if base.suited is None else component_class(base.suited)(whole, node.config)


def keys_class(group: str, target: str) -> Any:
    """The `Config` that a component of the group is checked with. Imports no torch.

    Raises:
        ConfigError: see `config_class`.
    """
    return completed(config_class(target), component_class(_base(group).keys))


def declared(node: Node, member: str) -> Any:
    """A number, text or flag that the class of a node declares; its group's where it does not.

    Imports no torch where the class and its ancestors write it down as such.
    """
    value = literal(node.target, member)
    base = _base(node.group).component
    return literal(base, member) if value is MISSING and base is not None else value


def _base(group: str) -> Base:
    return BASES.get(group, Base())


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
    require_calls(f"{node.group}.target={node.target}", cls, base)
    return whole


@cache
def completed(cls: type, base: type) -> Any:
    """`cls`, or where it does not inherit from `base`, a subclass of both with `cls` first."""
    if issubclass(cls, base):
        return cls
    names = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    return new_class(cls.__name__, (cls, base), exec_body=lambda body: body.update(names))
