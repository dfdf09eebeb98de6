"""What a model gives for two images, looked at before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn

from clrun.errors import ConfigError
from clrun.models.copies import copy_of, empty_copy_of
from clrun.models.dropout import SeededDropout
from clrun.models.shapes import is_quick

IMAGES = 2
"""Enough to tell a row for each image from one row, and for BatchNorm to learn from."""


def require_module(model: object, name: str) -> nn.Module:
    """The model, if it is one.

    Raises:
        ConfigError: it is no torch.nn.Module.
    """
    if not isinstance(model, nn.Module):
        raise ConfigError(f"{name}: is a {type(model).__name__}. It must be a torch.nn.Module.")
    return model


def outputs(model: nn.Module, image_shape: Sequence[int], *, training: bool) -> Any:
    """What the model makes of two images, evaluating or in training.

    A copy computes, so that the model stays as it is. Hooks on its layers are called.
    """
    shape = (IMAGES, *image_shape)
    if not is_quick(model, image_shape):
        # a model that looks at values has none on "meta"
        with suppress(Exception):
            twin = _twin(empty_copy_of(model), training)
            return twin(torch.zeros(*shape, device="meta"))
    return _computed(_twin(copy_of(model), training), shape)


def require_logits(output: Any, num_classes: int, name: str, mode: str = "") -> None:
    """Refuse what is no logit for each class of two images.

    Raises:
        ConfigError: with `name` of the model, what it gives and what it must give.
    """
    wanted = [IMAGES, num_classes]
    if not isinstance(output, Tensor) or list(output.shape) != wanted:
        raise ConfigError(
            f"{name}: gives {_described(output)} for two images{mode}. It must give logits "
            f"{wanted}."
        )
    if not output.is_floating_point():
        dtype = str(output.dtype).removeprefix("torch.")
        raise ConfigError(f"{name}: gives {dtype}{mode}. It must give logits, float32.")


def _twin(model: nn.Module, training: bool) -> nn.Module:
    """The copy as it is to be run."""
    for layer in model.train(training).modules():
        if isinstance(layer, SeededDropout):
            layer.eval()  # it changes no shape, and has masks only in an update
    return model


def _computed(model: nn.Module, shape: Sequence[int]) -> Any:
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    with torch.enable_grad():
        return model(torch.zeros(*shape, device=device))


def _described(output: object) -> str:
    """An output in a few words: its shape, or the shapes of what is in it."""
    if isinstance(output, Tensor):
        return str(list(output.shape))
    kind = type(output).__name__
    if isinstance(output, tuple | list):
        return f"a {kind} ({', '.join(map(_described, output))})"
    if isinstance(output, dict):
        entries = (f"{key}: {_described(value)}" for key, value in output.items())
        return f"a {kind} ({', '.join(entries)})"
    return f"a {kind}"
