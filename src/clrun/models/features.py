"""Looking inside a model: its layers by name, its head, and the features that a layer computes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from clrun.errors import ConfigError, did_you_mean
from clrun.images.transforms import Transform


class Chooser(NamedTuple):
    """A network whose features choose exemplars, in place of the model in training."""

    model: nn.Module
    transform: Transform | None = None
    """what it wants of images; None: what the model in training is given"""


SHOWN_LAYERS = 40
"""Layer names listed in an error; deep models have hundreds."""


@contextmanager
def unwatched(model: nn.Module) -> Iterator[None]:
    """Forward passes inside the block call none of the hooks on the model's layers."""
    layers = list(model.modules())
    hooks = [(layer._forward_pre_hooks, layer._forward_hooks) for layer in layers]
    for layer in layers:
        layer._forward_pre_hooks, layer._forward_hooks = OrderedDict(), OrderedDict()
    try:
        yield
    finally:
        for layer, (before, after) in zip(layers, hooks, strict=True):
            layer._forward_pre_hooks, layer._forward_hooks = before, after


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside the block; afterwards every layer has its own mode back.

    `model.train()` would not do: it would wake layers that were frozen in evaluation mode.
    """
    training = [module for module in model.modules() if module.training]
    if training:
        model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def learning(model: nn.Module) -> Iterator[None]:
    """Training mode inside the block; afterwards every layer has its own mode back."""
    modes = [(module, module.training) for module in model.modules()]
    model.train()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def layer_names(model: nn.Module) -> list[str]:
    """The names of all layers inside the model, in the order of registration."""
    return [name for name, _ in model.named_modules() if name]


def require_layer(model: nn.Module, name: str, *, key: str) -> nn.Module:
    """The layer called `name`; `key` is the configuration key that named it.

    Raises:
        ConfigError: the model has no such layer.
    """
    names = layer_names(model)
    if name not in names:
        more = f", and {len(names) - SHOWN_LAYERS} more" if len(names) > SHOWN_LAYERS else ""
        raise ConfigError(
            f"{key}={name}: {type(model).__name__} has no such layer.{did_you_mean(name, names)} "
            f"Layers: {', '.join(names[:SHOWN_LAYERS])}{more}."
        )
    return model.get_submodule(name)


def head(model: nn.Module) -> tuple[str, nn.Linear]:
    """The model's last linear layer, which turns features into logits, and its name.

    Raises:
        ConfigError: the model has no linear layer.
    """
    linear = [(n, m) for n, m in model.named_modules() if isinstance(m, nn.Linear)]
    if not linear:
        raise ConfigError(
            f"model={type(model).__name__}: has no linear layer that could be its head. "
            "Use a model that ends in one."
        )
    return linear[-1]


def extract_features(
    model: nn.Module,
    x: Tensor,
    transform: Transform,
    *,
    layer_name: str | None,
    batch_size: int,
    device: torch.device | str,
) -> Tensor:
    """What the layer computes for each row of x [n, C, H, W] uint8: [n, d] float32 on the CPU.

    `layer_name` None means what the head is given (the penultimate layer). Rows keep their order,
    images get the evaluation transform, and the model, already on `device`, is left as it was.

    Raises:
        ConfigError: the model has no such layer, or the layer gives no tensor for an image.
    """
    batches = []
    with evaluating(model), torch.no_grad(), recording(model, layer_name) as seen:
        for rows in x.split(batch_size):  # no rows: one empty batch tells d
            model(transform.evaluation(rows.to(device)))
            features = seen[-1] if seen else None  # of a layer used twice, the last use
            if not isinstance(features, Tensor) or len(features) != len(rows):
                raise ConfigError(
                    f"selection.layer_name={layer_name or 'null'}: the layer of "
                    f"{type(model).__name__} gives no tensor with a row for each image. "
                    "Name another layer."
                )
            batches.append(features.flatten(1).float().cpu())
            seen.clear()
    return torch.cat(batches)


def head_inputs(model: nn.Module, inputs: Tensor) -> Tensor:
    """What the head is given while the model computes `inputs` [B, ...]: features [B, d].

    Raises:
        ConfigError: the model has no linear layer.
    """
    with recording(model, None) as seen:
        model(inputs)
    features = seen[-1]
    assert isinstance(features, Tensor), "a linear layer is called with a tensor"
    return features.flatten(1)


@contextmanager
def recording(model: nn.Module, layer_name: str | None) -> Iterator[list[object]]:
    """A list that collects the named layer's outputs, or for None the head's inputs."""
    seen: list[object] = []

    def record_output(_module: nn.Module, _inputs: object, output: object) -> None:
        seen.append(output)

    def record_input(_module: nn.Module, inputs: tuple[object, ...]) -> None:
        seen.append(inputs[0])

    if layer_name is None:
        hook = head(model)[1].register_forward_pre_hook(record_input)
    else:
        layer = require_layer(model, layer_name, key="selection.layer_name")
        hook = layer.register_forward_hook(record_output)
    try:
        yield seen
    finally:
        hook.remove()
