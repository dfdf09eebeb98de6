"""The parameters that a penalty on moving weights looks after, and vectors of all their values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

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
        matched = {n for n in names if fnmatchcase(n, pattern) or fnmatchcase(n, f"{pattern}.*")}
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
