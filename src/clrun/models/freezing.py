"""Freezing the lower part of a model, up to a layer or a parameter that is named."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from clrun.errors import ConfigError, did_you_mean
from clrun.models.batch_renorm import BatchRenorm2D

NORMS = (BatchRenorm2D, nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)
"""Normalisation layers, by type: a class may have any name."""
SYNONYMS = {"gamma": "weight", "beta": "bias", "weight": "gamma", "bias": "beta"}
"""BatchRenorm2D and torch's layers have different names for scale and shift; either will do."""


def freeze_below(
    model: nn.Module,
    name: str,
    *,
    inclusive: bool,
    keep_norm: bool,
    key: str = "strategy.freeze_below_layer",
) -> list[str]:
    """Freeze all parameters registered before the layer or parameter `name`; their names.

    `inclusive` freezes `name` too. `keep_norm` leaves normalisation layers as they are; otherwise
    those frozen as a whole are also put in evaluation mode, and keep their statistics until
    `model.train()` is called: call this after it.

    Raises:
        ConfigError: the model has no such layer or parameter; `key` is what named it.
    """
    name = _existing(model, name, key)
    frozen = []
    for path, module, below in _below(model, name, inclusive=inclusive):
        if isinstance(module, NORMS):
            if keep_norm:
                continue
            if len(below) == len(dict(module.named_parameters(recurse=False))):
                module.eval()
        for parameter in below:
            getattr(module, parameter).requires_grad_(False)
            frozen.append(f"{path}.{parameter}" if path else parameter)
    return frozen


def _existing(model: nn.Module, name: str, key: str) -> str:
    """`name`, or its synonym where the model's normalisation is of another kind."""
    layers = [path for path, _ in model.named_modules() if path]
    known = [*layers, *(path for path, _ in model.named_parameters())]
    layer, _, parameter = name.rpartition(".")
    synonym = f"{layer}.{SYNONYMS.get(parameter)}"
    if name in known:
        return name
    if synonym in known and isinstance(model.get_submodule(layer), NORMS):
        return synonym
    raise ConfigError(
        f"{key}={name}: {type(model).__name__} has no such layer or parameter."
        f"{did_you_mean(name, known)} Use the name of a layer, such as '{layers[-1]}', or of one "
        "of its parameters."
    )


def _below(
    model: nn.Module, name: str, *, inclusive: bool
) -> Iterator[tuple[str, nn.Module, list[str]]]:
    """(path, module, names of its own parameters) for what is registered before `name`."""
    owner, _, last = name.rpartition(".")
    reached = False
    for path, module in model.named_modules():
        own = [parameter for parameter, _ in module.named_parameters(recurse=False)]
        if path == name or path.startswith(f"{name}."):
            reached = True
            if not inclusive:
                return
        elif reached:
            return
        if path == owner and last in own:
            yield path, module, own[: own.index(last) + inclusive]
            return
        yield path, module, own
