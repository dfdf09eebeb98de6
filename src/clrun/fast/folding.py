"""Convolutions that do the work of the normalisation behind them, where that is a constant scale.

In evaluation mode a normalisation multiplies and shifts each channel by values that do not depend
on the minibatch. A convolution with its weights so scaled gives the same numbers, but for rounding,
in one pass over the image instead of three (one forward, two backward), and keeps no copy of its
output for the backward pass. Gradients reach weight, gamma and beta through the scaled weights.

Gain: normalisation cost a quarter of AR1's first experience, and as much of every evaluation of a
network with batch normalisation. Cost: the forward pass is traced, and traced again when what it
decided on has changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, fx, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.nn.functional import conv2d, relu_

from clrun.device.device import Device

Forward = Callable[[Tensor], Tensor]
Trace = Callable[[nn.Module], fx.GraphModule | None]
"""A model's forward pass in evaluation mode as a graph of its own layers; None if there is none."""


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


class EvaluatingForm:
    """A model's forward pass while it is in evaluation mode, its convolutions folded.

    It is made when first called, and again when layers, parameters or plain attributes (a flag, the
    number of a head) were exchanged for others: a trace takes them for constant. `forward` serves
    where nothing can be folded or traced; `runnable` makes a folded model callable.
    """

    def __init__(
        self,
        model: nn.Module,
        forward: Forward,
        runnable: Callable[[nn.Module], Forward],
        trace: Trace,
    ) -> None:
        self._model, self._plain, self._runnable = model, forward, runnable
        self._trace = trace
        self._constants: list[Any] = []
        self._forward = forward

    def __call__(self, x: Tensor) -> Tensor:
        constants = _constants(self._model)
        if len(constants) != len(self._constants) or not all(
            map(_same, constants, self._constants)
        ):
            self._constants = constants
            self._forward = self._made()
        return self._forward(x)

    def _made(self) -> Forward:
        can_fold = any(map(_is_foldable, self._model.modules()))
        graph = self._trace(self._model) if can_fold else None
        return self._plain if graph is None else self._runnable(folded(graph, tricks=True))


def evaluating_form(model: nn.Module, forward: Forward, device: Device, trace: Trace) -> Forward:
    """The model's forward pass in evaluation mode: its `EvaluatingForm`, or `forward` itself."""
    return EvaluatingForm(model, forward, device.runnable, trace) if device.tricks else forward


PLAIN = (bool, int, float, str)
"""Attributes that a forward pass may decide on."""


def _constants(model: nn.Module) -> list[Any]:
    """What a trace does not ask for again."""
    found: list[Any] = []
    for module in model.modules():
        found += [module, *module._parameters.values(), *module._buffers.values()]
        plain = (v for k, v in vars(module).items() if k != "training" and isinstance(v, PLAIN))
        found += plain
    return found


def _same(one: Any, other: Any) -> bool:
    return one is other or (isinstance(one, PLAIN) and isinstance(other, PLAIN) and one == other)


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
        if not _is_foldable(layer):
            continue
        conv = norm.all_input_nodes[0]
        if not isinstance(layers[conv], nn.Conv2d) or len(conv.users) > 1:
            continue
        after = next(iter(norm.users)) if len(norm.users) == 1 else None
        relu = after if after is not None and _is_relu(after, layers[after]) else None
        users = list((relu or norm).users)
        alone = len(users) == 1 and isinstance(layers[users[0]], nn.Conv2d)
        found.append(_Chain(conv, norm, relu, alone))
    return found


def _is_relu(node: fx.Node, layer: nn.Module | None) -> bool:
    return isinstance(layer, nn.ReLU) or node.target in (torch.relu, functional.relu)


def _layer(node: fx.Node, part: fx.GraphModule) -> nn.Module | None:
    return part.get_submodule(str(node.target)) if node.op == "call_module" else None


def _layer_of(chain: _Chain, part: fx.GraphModule) -> FoldedConv:
    conv, norm = _layer(chain.conv, part), _layer(chain.norm, part)
    assert isinstance(conv, nn.Conv2d) and norm is not None  # noqa: PT018
    return FoldedConv(conv, norm, relu=chain.relu is not None, alone=chain.alone)


def _is_foldable(layer: nn.Module | None) -> bool:
    """Whether the layer has running statistics, so that its scale is constant in evaluation."""
    if isinstance(layer, nn.BatchNorm2d):
        return layer.running_mean is not None
    return isinstance(layer, Normalisation)


def _scale_and_shift(norm: nn.Module) -> tuple[Tensor, Tensor]:
    """What evaluation multiplies each channel with and then adds, [C] each."""
    assert not norm.training, "a normalisation in training mode has no constant scale"
    if isinstance(norm, Normalisation):
        return norm.scale_and_shift()
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None and norm.running_var is not None  # noqa: PT018
    scale = (norm.running_var + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight
    shift = -norm.running_mean * scale
    return scale, shift if norm.bias is None else shift + norm.bias
