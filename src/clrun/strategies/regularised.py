"""The parameters that a penalty on moving weights looks after, and vectors of all their values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from clrun.errors import ConfigError, did_you_mean
from clrun.models.freezing import NORMS


def regularised(model: nn.Module, exclude: Sequence[str]) -> dict[str, nn.Parameter]:
    """Trainable parameters by name, without excluded ones and those of normalisation layers.

    Raises:
        ConfigError: a pattern of `exclude` matches no parameter.
    """
    names = [name for name, _ in model.named_parameters()]
    excluded: set[str] = set()
    for pattern in exclude:
        matched = _matched(names, [pattern])
        if not matched:
            raise ConfigError(
                f"strategy.plugins exclude={pattern}: no parameter of {type(model).__name__} has "
                f"such a name.{did_you_mean(pattern, names)} Use the name of a layer or parameter."
            )
        excluded |= matched
    normalising = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, NORMS)
        for parameter in module.parameters(recurse=False)
    }
    return {
        name: parameter
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and name not in excluded and id(parameter) not in normalising
    }


def _matched(names: Sequence[str], patterns: Sequence[str]) -> set[str]:
    """The names of parameters that a pattern names, or a pattern of a layer above them."""
    every = [each for pattern in patterns for each in (pattern, f"{pattern}.*")]
    return {name for name in names if any(fnmatchcase(name, each) for each in every)}


def require_left_out(head: str, plugins: Sequence[Mapping[str, Any]]) -> None:
    """Refuse plugins that hold a head which the strategy itself sets before each experience.

    Synaptic Intelligence is none of them: it holds parameters where an experience finds them.

    Raises:
        ConfigError: one holds it.
    """
    names = [f"{head}.weight", f"{head}.bias"]
    for plugin in plugins:
        if plugin.get("name") in ("ewc", "mas"):
            patterns = [
                each for given in plugin.get("exclude", ()) for each in (given, f"{given}.*")
            ]
            if not all(any(fnmatchcase(name, each) for each in patterns) for name in names):
                raise ConfigError(
                    f"strategy.plugins {plugin['name']}: would hold {head} where the last "
                    "experience left it, and the strategy sets that anew before each. Add "
                    f"exclude: [{head}], or use strategy.head=plain."
                )


def flat(tensors: Iterable[Tensor]) -> Tensor:
    """One new vector of all their values, never a view."""
    parts = [tensor.reshape(-1) for tensor in tensors]
    return torch.cat(parts) if parts else torch.empty(0)


def flat_known(parameters: Mapping[str, nn.Parameter], known: Mapping[str, Tensor]) -> Tensor:
    """One vector of what is known of each parameter by its name; 0 where nothing is."""
    found = torch.zeros_like(flat(parameter.detach() for parameter in parameters.values()))
    sizes = [parameter.numel() for parameter in parameters.values()]
    for name, part in zip(parameters, found.split(sizes), strict=True):
        if name in known:
            part.copy_(known[name])
    return found
