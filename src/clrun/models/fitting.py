"""Whether tensors are those that a model has places for."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor


def misfits(
    wanted: Mapping[str, Tensor], given: Mapping[str, Tensor], described: Callable[[Tensor], str]
) -> list[str]:
    """What keeps the given tensors from being the wanted ones, a few words for each.

    Two tensors fit where `described` says the same of both: the shape, say.
    """
    problems = [f"{name} is missing" for name in wanted if name not in given]
    problems += [f"{name} is unknown" for name in given if name not in wanted]
    problems += [
        f"{name} is {described(given[name])} instead of {described(tensor)}"
        for name, tensor in wanted.items()
        if name in given and described(given[name]) != described(tensor)
    ]
    return problems
