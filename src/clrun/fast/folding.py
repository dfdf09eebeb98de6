"""Convolutions that do the work of the normalisation behind them, where that is a constant scale.

In evaluation mode a normalisation multiplies and shifts each channel by values that do not depend
on the minibatch. A convolution with its weights so scaled gives the same numbers, but for rounding,
in one pass over the image instead of three (one forward, two backward), and keeps no copy of its
output for the backward pass. Gradients reach weight, gamma and beta through the scaled weights.

Gain: normalisation cost a quarter of AR1's first experience, and as much of every evaluation of a
network with batch normalisation. Cost: a forward pass has to be traced (`evaluating_form`).
Layers are folded by their exact types, without hooks: a subclass may compute something else.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, fx, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.nn.functional import conv2d, relu_

from clrun.attributes import hooks
from clrun.fast import pointwise

CONVOLUTIONS = (nn.Conv2d, pointwise.Conv2d)
"""Layers that compute what is folded here. A subclass may compute something else."""


@runtime_checkable
class Normalisation(Protocol):
    """A layer that in evaluation mode multiplies each channel of its input and adds to it."""

    training: bool

    def scale_and_shift(self) -> tuple[Tensor, Tensor]:
        """What evaluation multiplies each channel with and then adds, [C] each."""


class FoldedConv(nn.Module):
    """norm(conv(x)) by the running statistics as one convolution, and a ReLU where one follows.

    The layers stay what and where they are; their parameters are read at each call. `alone`: what
    comes out goes into one convolution and nowhere else.
    """

    def __init__(
        self, conv: nn.Conv2d, norm: nn.Module, *, relu: bool = False, alone: bool = False
    ) -> None:
        super().__init__()
        self.conv, self.norm, self.relu, self.alone = conv, norm, relu, alone

    def forward(self, x: Tensor) -> Tensor:
        conv, (scale, shift) = self.conv, _scale_and_shift(self.norm)
        weight = conv.weight * scale[:, None, None, None]
        bias = shift if conv.bias is None else torch.addcmul(shift, conv.bias, scale)
        if self.relu and self.alone and self._in_one_function(x):
            geometry = (conv.stride, conv.padding, conv.dilation, conv.groups)
            return _ConvReLU.apply(x, weight, bias, *geometry)
        y = conv._conv_forward(x, weight, bias)
        return relu_(y) if self.relu else y

    def _in_one_function(self, x: Tensor) -> bool:
        """Whether autograd is at work, in one precision, and nobody else rewrites operations."""
        return (
            torch.is_grad_enabled()
            and not torch.is_autocast_enabled(x.device.type)
            and not torch.compiler.is_compiling()
            and self.conv.padding_mode == "zeros"
            and not isinstance(self.conv.padding, str)
        )

    def extra_repr(self) -> str:
        return f"relu={self.relu}"


class _ConvReLU(torch.autograd.Function):
    """The function relu(conv(x)), whose backward pass works in the memory of its own input.

    That gradient must be nobody else's. The backward pass of a convolution makes it afresh, so a
    convolution must be all that uses the output.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, *geometry: Any) -> Tensor:
        y = relu_(conv2d(x, weight, bias, *geometry))
        ctx.save_for_backward(x, weight, y)
        ctx.geometry = geometry
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, y = ctx.saved_tensors
        stride, padding, dilation, groups = ctx.geometry
        torch.ops.aten.threshold_backward.grad_input(dy, y, 0, grad_input=dy)
        gradients = torch.ops.aten.convolution_backward(
            *(dy, x, weight, [len(weight)], stride, padding, dilation, False, [0, 0], groups),
            ctx.needs_input_grad[:3],
        )
        return (*gradients, None, None, None, None)


class _Chain(NamedTuple):
    """Layers behind one another, as nodes of a graph."""

    conv: fx.Node
    norm: fx.Node
    relu: fx.Node | None
    alone: bool

    @property
    def last(self) -> fx.Node:
        return self.relu or self.norm


def folded(part: fx.GraphModule, *, tricks: bool) -> fx.GraphModule:
    """`part` as it is in evaluation mode, each convolution folded with a normalisation behind it.

    The layers are shared with `part`; in the result they must not be in training mode. Without
    `tricks` it is `part` itself.
    """
    if not tricks:
        return part
    root, graph = nn.Module(), fx.Graph()
    for name, module in part.named_children():
        root.add_module(name, module)
    for name, value in [*part.named_parameters(recurse=False), *part.named_buffers(recurse=False)]:
        setattr(root, name, value)
    chains = {chain.last: chain for chain in _chains(part)}
    inside = {node for chain in chains.values() for node in chain[:3]} - set(chains)
    copies: dict[fx.Node, fx.Node] = {}
    for number, node in enumerate(part.graph.nodes):
        if node in chains:
            chain, name = chains[node], f"folded_{number}"
            root.add_module(name, _layer_of(chain, part))
            copies[node] = graph.call_module(name, (copies[chain.conv.all_input_nodes[0]],))
        elif node not in inside:
            copies[node] = graph.node_copy(node, copies.__getitem__)
    return fx.GraphModule(root, graph, class_name=f"Folded{type(part).__name__}")


def _chains(part: fx.GraphModule) -> list[_Chain]:
    """Convolutions whose output a normalisation alone uses, with a ReLU that alone uses that."""
    layers = {node: _layer(node, part) for node in part.graph.nodes}
    found = []
    for norm, layer in layers.items():
        if layer is None or not is_foldable(layer) or layer.training:
            continue
        conv = norm.all_input_nodes[0]
        if not _is_convolution(layers[conv]) or len(conv.users) > 1:
            continue
        after = next(iter(norm.users)) if len(norm.users) == 1 else None
        relu = after if after is not None and _is_relu(after, layers[after]) else None
        users = list((relu or norm).users)
        alone = len(users) == 1 and _is_convolution(layers[users[0]])
        found.append(_Chain(conv, norm, relu, alone))
    return found


def _is_convolution(layer: nn.Module | None) -> bool:
    return layer is not None and type(layer) in CONVOLUTIONS and _is_untouched(layer)


def _is_relu(node: fx.Node, layer: nn.Module | None) -> bool:
    if layer is None:
        return node.target in (torch.relu, functional.relu)
    return type(layer) is nn.ReLU and _is_untouched(layer)


def _is_untouched(layer: nn.Module) -> bool:
    """Whether calling the layer does what its class says: no hooks, no other forward pass."""
    return not hooks(layer) and not {"forward", "_conv_forward"} & vars(layer).keys()


def _layer(node: fx.Node, part: fx.GraphModule) -> nn.Module | None:
    return part.get_submodule(str(node.target)) if node.op == "call_module" else None


def _layer_of(chain: _Chain, part: fx.GraphModule) -> FoldedConv:
    conv, norm = _layer(chain.conv, part), _layer(chain.norm, part)
    assert isinstance(conv, nn.Conv2d) and norm is not None  # noqa: PT018
    return FoldedConv(conv, norm, relu=chain.relu is not None, alone=chain.alone)


def is_foldable(layer: nn.Module) -> bool:
    """Whether the layer has running statistics, so that its scale is constant in evaluation."""
    if not _is_untouched(layer):
        return False
    if isinstance(layer, nn.BatchNorm2d) and layer.running_mean is None:
        return False
    if type(layer) is nn.BatchNorm2d:
        return True
    return isinstance(layer, Normalisation) and _has_both_from_one_class(type(layer))


def _has_both_from_one_class(kind: type) -> bool:
    """Whether `forward` is the one that `scale_and_shift` tells of: no subclass has another."""
    methods = ("forward", "scale_and_shift")
    first, second = (next(c for c in kind.__mro__ if name in vars(c)) for name in methods)
    return first is second


def _scale_and_shift(norm: nn.Module) -> tuple[Tensor, Tensor]:
    """What evaluation multiplies each channel with and then adds, [C] each."""
    assert not norm.training, "a normalisation in training mode has no constant scale"
    if isinstance(norm, Normalisation):
        return norm.scale_and_shift()
    assert isinstance(norm, nn.BatchNorm2d)
    return by_running_statistics(norm)


def by_running_statistics(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """What batch normalisation multiplies each channel with in evaluation, and then adds."""
    assert norm.running_mean is not None and norm.running_var is not None  # noqa: PT018
    scale = (norm.running_var + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight
    shift = -norm.running_mean * scale
    return scale, shift if norm.bias is None else shift + norm.bias
