"""Initial weights from a file: what `pretrained: path` means."""

from __future__ import annotations

import pickle
import struct

import torch
from torch import Tensor, nn

from clrun.errors import ConfigError
from clrun.models.features import head

KEY = "model.pretrained"
DAMAGED = (
    pickle.UnpicklingError,
    struct.error,
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    AssertionError,
    AttributeError,
    TypeError,
)
"""What torch.load(weights_only=True) raises on a file that is damaged or something else."""


def load_pretrained(model: nn.Module, pretrained: bool | str) -> None:
    """Fill `model` with the state dict in the file `pretrained` (torch.save); False leaves it be.

    Every parameter and buffer must be there with the model's shape, and nothing else.

    Raises:
        ConfigError: the file cannot be read, holds something else, or does not fit the model.
    """
    if not isinstance(pretrained, str):
        return
    weights = _read(pretrained)
    _check_head(model, weights, pretrained)
    _check_fit(model, weights, pretrained)
    model.load_state_dict(weights)


def _read(path: str) -> dict[str, Tensor]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ConfigError(f"{KEY}={path}: {error.strerror}. Give a file of weights.") from error
    except DAMAGED as error:
        raise ConfigError(
            f"{KEY}={path}: not a file that torch.load(weights_only=True) can read. "
            "Save one with torch.save(model.state_dict(), path)."
        ) from error
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ConfigError(
            f"{KEY}={path}: holds no state dict (names to tensors). "
            "Save one with torch.save(model.state_dict(), path)."
        )
    return state


def _check_head(model: nn.Module, weights: dict[str, Tensor], path: str) -> None:
    """Another number of classes is the likeliest misfit; say it in those words."""
    name, layer = head(model)
    saved = weights.get(f"{name}.weight")
    if saved is not None and saved.shape[:1] != layer.weight.shape[:1]:
        raise ConfigError(
            f"{KEY}={path}: {name}.weight is {_size(saved)}, but {layer.out_features} classes need "
            f"{_size(layer.weight)}. Use weights for {layer.out_features} classes, or false."
        )


def _check_fit(model: nn.Module, weights: dict[str, Tensor], path: str) -> None:
    wanted = model.state_dict()
    problems = [f"{name} is missing" for name in wanted if name not in weights]
    problems += [f"{name} is unknown" for name in weights if name not in wanted]
    problems += [
        f"{name} is {_size(weights[name])} instead of {_size(tensor)}"
        for name, tensor in wanted.items()
        if name in weights and weights[name].shape != tensor.shape
    ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise ConfigError(
            f"{KEY}={path}: does not fit {type(model).__name__}: "
            f"{'; '.join(problems[:3])}{more}. "
            "Use weights saved from the same model and image size."
        )


def _size(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a number"
