"""The gradient of each row of a minibatch for the parameters of one layer.

It follows from what the layer was given and from what the loss wants of its output: one backward
pass of the minibatch, to the outputs of all layers, is enough for the gradients of all rows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vjp, vmap
from torch.nn.functional import unfold

from clrun.fast import pointwise


@dataclass(frozen=True)
class Call:
    """A layer with parameters of its own, and what one call of it was given and gave."""

    layer: nn.Module
    given: tuple[Tensor, ...]
    """detached, [B, ...] each"""
    gave: Tensor
    """[B, ...], with gradients"""

    def name_of(self, parameter: nn.Parameter) -> str | None:
        """What the layer itself calls this parameter; None if it is not its own."""
        own = self.layer.named_parameters(recurse=False)
        return next((name for name, each in own if each is parameter), None)

    @property
    def is_product(self) -> bool:
        """A row's gradient for the weight is the product of a column and a row."""
        return type(self.layer) is nn.Linear and self.gave.dim() == 2

    @property
    def values_made(self) -> int:
        """How many numbers a row takes while the gradient of the largest parameter is made."""
        if self.is_product:
            return 0
        shapes = [parameter.shape for parameter in self.layer.parameters(recurse=False)]
        largest = max(map(prod, shapes))
        if not _is_plain_convolution(self.layer):
            return 2 * largest
        kernel, places = shapes[0][2:], self.gave.shape[2:]
        return 2 * largest + self.given[0].shape[1] * prod(kernel) * prod(places)


@contextmanager
def recorded_calls(model: nn.Module, parameters: Collection[nn.Parameter]) -> Iterator[list[Call]]:
    """A list that collects each call of a layer that has one of the parameters itself.

    A layer's output is recorded, and a copy of it goes on: somebody may work on that in place.
    """
    seen: list[Call] = []

    def record(layer: nn.Module, given: tuple[Any, ...], gave: Any) -> Tensor:
        if not all(isinstance(each, Tensor) for each in (*given, gave)):
            raise TypeError(f"{type(layer).__name__} is given or gives other than tensors")
        seen.append(Call(layer, tuple(each.detach() for each in given), gave))
        return gave.clone()

    ours = {id(parameter) for parameter in parameters}
    hooks = [
        layer.register_forward_hook(record)
        for layer in model.modules()
        if any(id(parameter) in ours for parameter in layer.parameters(recurse=False))
    ]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


class RowsOfLayer:
    """The gradients of rows for one parameter of a layer that was called, whatever is wanted."""

    def __init__(self, call: Call, parameter: nn.Parameter) -> None:
        self._call, self._parameter = call, parameter
        self._patches: Tensor | None = None  # what kernels lay over; the same in each direction

    def gradients(self, wanted: Tensor) -> Tensor:
        """Where `wanted` is the gradient for the layer's output. -> [B, *shape of the parameter]"""
        layer, given = self._call.layer, self._call.given[0]
        is_weight = self._parameter is getattr(layer, "weight", None)
        if type(layer) is nn.Linear:
            a, g = (t.reshape(len(t), -1, t.shape[-1]) for t in (given, wanted))
            return g.transpose(1, 2) @ a if is_weight else g.sum(1)
        if _is_plain_convolution(layer):
            assert isinstance(layer, nn.Conv2d)
            return self._of_kernels(layer, given, wanted) if is_weight else wanted.sum((2, 3))
        return _of_any(self._call, wanted, self._parameter)

    def _of_kernels(self, layer: nn.Conv2d, given: Tensor, wanted: Tensor) -> Tensor:
        places = wanted.shape[2] * wanted.shape[3]
        if self._patches is None:
            rows = _laid_over(layer, given)
            self._patches = rows.reshape(len(rows), layer.groups, -1, places).transpose(2, 3)
        found = wanted.reshape(len(wanted), layer.groups, -1, places) @ self._patches
        return found.view(-1, *self._parameter.shape)


def _is_plain_convolution(layer: nn.Module) -> bool:
    return (
        isinstance(layer, nn.Conv2d)
        and type(layer) in (nn.Conv2d, pointwise.Conv2d)
        and layer.padding_mode == "zeros"
        and not isinstance(layer.padding, str)
    )


def _laid_over(layer: nn.Conv2d, given: Tensor) -> Tensor:
    """What the kernels of each place of the output lie over. -> [B, C * kernel, places]"""
    if (layer.kernel_size, layer.stride, layer.padding) == ((1, 1), (1, 1), (0, 0)):
        return given
    assert not isinstance(layer.padding, str)
    return unfold(given, layer.kernel_size, layer.dilation, layer.padding, layer.stride)


def _of_any(call: Call, wanted: Tensor, parameter: nn.Parameter) -> Tensor:
    """The backward pass of a layer of any kind, alone, for all rows side by side."""
    name = call.name_of(parameter)
    assert name is not None

    def of_a_row(given: tuple[Tensor, ...], wanted: Tensor) -> Tensor:
        rows = tuple(each[None] for each in given)

        def output(value: Tensor) -> Tensor:
            return functional_call(call.layer, {name: value}, rows)

        return vjp(output, parameter.detach())[1](wanted[None])[0]

    with torch.no_grad():
        return vmap(of_a_row)(call.given, wanted)
