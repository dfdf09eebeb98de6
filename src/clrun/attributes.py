"""What a forward pass may read besides its input: to see whether it is still what it was.

A trace takes all of it for constant.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from torch import Tensor, nn

PLAIN = (bool, int, float, str, bytes, type(None))
"""Values that are compared; all others are the same while they are the same object."""
OF_EVERY_MODULE = frozenset(vars(nn.Module()))
FROM_PYTORCH = ("torch", "torchvision")
MOST = 2000
"""Values of one module's attributes, beyond which nobody goes through them at each minibatch."""
DEEPEST = 4


class TooMany(Exception):
    """A module has more attributes than can be looked through."""


def readable(model: nn.Module) -> list[Any]:
    """Layers, modes, parameters, buffers, hooks and attributes, in an order that stays.

    Raises:
        TooMany: what a module's lists and dicts hold is too much.
    """
    found: list[Any] = []
    for module in model.modules():
        found += [module, module.training, *module._parameters.values(), *module._buffers.values()]
        found += hooks(module)
        found += attributes(module)
    return found


def attributes(module: nn.Module) -> list[Any]:
    """What `forward` may have set and may look at: numbers, texts, tensors, what lists hold, ...

    A class of ours names in `only_written` what its forward pass leaves for others and never reads.

    Raises:
        TooMany: see `readable`.
    """
    found: list[Any] = []
    left_out = OF_EVERY_MODULE.union(getattr(type(module), "only_written", ()))
    for name, value in vars(module).items():
        if name not in left_out:
            for inside in _inside(value, 0):
                found.append(inside)
                if len(found) > MOST:
                    raise TooMany(f"{type(module).__name__}.{name}")
    return found


def hooks(module: nn.Module) -> list[Any]:
    """What is called before and after the module's forward pass."""
    return [*module._forward_pre_hooks.values(), *module._forward_hooks.values()]


def are_same(one: Iterable[Any], other: Iterable[Any]) -> bool:
    """Whether two readings found the same."""
    ours, theirs = list(one), list(other)
    return len(ours) == len(theirs) and all(map(_is_same, ours, theirs))


def versions(module: nn.Module) -> list[Any]:
    """What tells that the module's own tensors or attributes were written to since.

    Raises:
        TooMany: see `readable`.
    """
    tensors = [*module._parameters.values(), *module._buffers.values()]
    values = [*tensors, *attributes(module)]
    return [*values, *(value._version for value in values if isinstance(value, Tensor))]


def is_inside(name: str, layers: Iterable[str]) -> bool:
    """Whether the layer called `name` is one of these layers, or in one."""
    return any(name == layer or name.startswith(f"{layer}.") for layer in layers)


def _is_same(one: Any, other: Any) -> bool:
    if one is other:
        return True
    if type(one) is not type(other) or not isinstance(one, PLAIN):
        return False
    return bool(one == other) or (one != one and other != other)


def _inside(value: Any, depth: int) -> Iterator[Any]:
    """The value itself or, of a container or an object with attributes, what it holds."""
    parts: list[Any] = []
    if isinstance(value, (list, tuple, set, frozenset)):
        parts = [len(value), *value]
    elif isinstance(value, dict):
        parts = [len(value), *value, *value.values()]
    elif _has_attributes(value):
        parts = [*vars(value), *vars(value).values()]
    if not isinstance(value, PLAIN) or not parts:
        yield value
    if depth < DEEPEST:
        for part in parts:
            yield from _inside(part, depth + 1)


def _has_attributes(value: Any) -> bool:
    """Whether it is a plain object, such as a configuration."""
    if isinstance(value, (Tensor, nn.Module, type)) or callable(value):
        return False
    return hasattr(value, "__dict__") and not type(value).__module__.startswith(FROM_PYTORCH)
