"""Cutting a model in two at a layer that is named: latents are what crosses the cut."""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import fx, nn

from clrun.attributes import are_same, hooks, is_inside, versions
from clrun.errors import ConfigError
from clrun.models.dropout import SeededDropout
from clrun.models.features import evaluating, head, layer_names, learning, require_layer
from clrun.models.shapes import output_shape
from clrun.seeds import derive, isolated

FAILED_TO_TRACE = (fx.proxy.TraceError, RuntimeError, TypeError, ValueError, AttributeError)
"""What a forward pass raises that does something else with its input than calling operations."""


class Cut(NamedTuple):
    """Two models with upper(lower(x)) == model(x), made of the model's own layers.

    Parameters, statistics and modes are shared with the model, names too. A layer is in one part
    alone (if the model calls it once), so that `lower.eval()` leaves `upper` training. Decisions
    that the forward pass takes in Python stay as they were when it was cut, but for those on the
    mode: a part is `ByMode` where the forward pass is another one in training.
    """

    lower: nn.Module
    upper: nn.Module

    def latent_shape(self, input_shape: Sequence[int]) -> tuple[int, ...]:
        """Shape of the latent of one input [C, H, W]; nothing is computed."""
        return output_shape(self.lower, input_shape)


class ByMode(nn.Module):
    """A part of a model that computes something else in training than in evaluation.

    Its layers are those of both forms, under their names in the model.
    """

    def __init__(self, training: fx.GraphModule, evaluation: fx.GraphModule) -> None:
        super().__init__()
        self._forms = (training, evaluation)  # in a tuple they are no layers
        graph = fx.Graph()
        entry = graph.placeholder("x")
        for node in [*training.graph.nodes, *evaluation.graph.nodes]:
            if node.op == "call_module":
                graph.call_module(str(node.target), (entry,))
            elif node.op == "get_attr":
                graph.get_attr(str(node.target))
        graph.output(entry)
        both = {**_targets(training), **_targets(evaluation)}
        layers = fx.GraphModule(both, graph)
        for name, child in layers.named_children():
            self.add_module(name, child)
        for name, parameter in layers.named_parameters(recurse=False):
            self.register_parameter(name, parameter)
        for name, buffer in layers.named_buffers(recurse=False):
            self.register_buffer(name, buffer)

    @property
    def forms(self) -> tuple[fx.GraphModule, fx.GraphModule]:
        """In training mode, and in evaluation mode."""
        return self._forms

    @property
    def evaluation(self) -> fx.GraphModule:
        """The form in evaluation mode."""
        return self._forms[1]

    def forward(self, x: Any) -> Any:
        return self._forms[0 if self.training else 1](x)


def forms_of(part: nn.Module) -> tuple[fx.GraphModule, ...]:
    """The graphs of a part that is another one in training; no other module has any. A layer that
    is exchanged in such a part is exchanged in each."""
    return part._forms if isinstance(part, ByMode) else ()


def _targets(part: fx.GraphModule) -> dict[str, Any]:
    """What the part's graph calls and reads, by name."""
    nodes = [node for node in part.graph.nodes if node.op in ("call_module", "get_attr")]
    return {str(node.target): _found(part, str(node.target)) for node in nodes}


def _found(part: nn.Module, path: str) -> Any:
    owner, _, name = path.rpartition(".")
    return getattr(part.get_submodule(owner), name)


def cut(model: nn.Module, layer_name: str, *, key: str = "strategy.latent_layer") -> Cut:
    """Cut `model` behind the layer called `layer_name`, which `key` named.

    Raises:
        ConfigError: the model has no such layer or does not use it; other data pass beside it, as
            in a residual branch; or the model's forward pass cannot be traced.
    """
    require_layer(model, layer_name, key=key)
    with learning(model):
        trained = _cut_in_this_mode(model, layer_name, key)
    with evaluating(model):
        evaluated = _cut_in_this_mode(model, layer_name, key)
    return Cut(*map(_part_by_mode, trained, evaluated))


def require_whole(model: nn.Module, both: Cut, input_shape: Sequence[int], *, key: str) -> None:
    """Refuse a cut that does not do all that the model does for inputs [C, H, W].

    All of it is tried with copies.

    Raises:
        ConfigError: it gives other logits, or its forward pass does more than compute them.
    """
    reason = None
    for mode in (learning, evaluating):
        whole, parts = copy.deepcopy(model), Cut(*copy.deepcopy(tuple(both)))
        with mode(whole), mode(parts.lower), mode(parts.upper), torch.no_grad():
            reason = reason or _loss(whole, parts, input_shape)
    if reason is not None:
        raise ConfigError(
            f"{key}: {type(model).__name__} cannot be cut: {reason}. Do it in a layer without "
            "layers of its own, which is called as it is, or use another strategy."
        )


def _loss(whole: nn.Module, parts: Cut, input_shape: Sequence[int]) -> str | None:
    """What the parts would not do that the whole model does; None if they do all."""
    called = [name for part in parts for name in _layers_called(part)]
    through = [m for name, m in whole.named_modules() if not is_inside(name, called)]
    if any(map(hooks, through)):
        return "a hook is called for a layer that has layers of its own"
    for copied in (whole, *parts):
        for name, module in copied.named_modules():
            module._forward_hooks.clear()  # those of the layers called are not to see copies
            if isinstance(module, SeededDropout):
                module.reseed(derive(0, name))
    x = torch.rand(2, *input_shape, generator=torch.Generator().manual_seed(0))
    before = [versions(module) for module in through]
    with isolated(0, "comparison"):
        expected = whole(x.clone())
    if not all(map(are_same, before, map(versions, through))):
        return "its forward pass changes what it reads"
    with isolated(0, "comparison"):
        given = parts.upper(parts.lower(x.clone()))
    if not torch.allclose(given, expected, rtol=1e-4, atol=1e-5, equal_nan=True):
        return "its two parts together give other logits than the whole"
    return None


def _layers_called(part: nn.Module) -> list[str]:
    """Names of the layers that a part calls as they are."""
    forms: Sequence[nn.Module] = part.forms if isinstance(part, ByMode) else (part,)
    nodes = (node for form in forms for node in form.graph.nodes)  # type: ignore[union-attr]
    return [str(node.target) for node in nodes if node.op == "call_module"]


def _part_by_mode(trained: nn.Module, evaluated: nn.Module) -> nn.Module:
    """One part for both modes."""
    assert isinstance(trained, fx.GraphModule)
    assert isinstance(evaluated, fx.GraphModule)
    is_same = str(trained.graph) == str(evaluated.graph)
    return trained if is_same else ByMode(trained, evaluated)


def _cut_in_this_mode(model: nn.Module, layer_name: str, key: str) -> Cut:
    tracer = _Tracer()
    try:
        graph = tracer.trace(_Rooted(model))
    except FAILED_TO_TRACE as error:
        raise _uncuttable(model, layer_name, key, error) from error
    node = tracer.outputs.get(layer_name)
    if node is None:
        raise ConfigError(
            f"{key}={layer_name}: the forward pass of {type(model).__name__} makes no tensor with "
            f"it.{_suggestion(tracer.outputs, layer_name, graph)}"
        )
    if not _separates(node, graph):
        raise ConfigError(
            f"{key}={layer_name}: other data of {type(model).__name__} pass beside this layer, "
            f"which the latents would lack.{_suggestion(tracer.outputs, layer_name, graph)}"
        )
    start, result = _ends(graph)
    try:
        lower = _part(model, graph, source=start, result=node)
        return Cut(lower, _part(model, graph, source=node, result=result))
    except FAILED_TO_TRACE as error:
        raise _uncuttable(model, layer_name, key, error) from error


def _uncuttable(model: nn.Module, layer_name: str, key: str, error: Exception) -> ConfigError:
    return ConfigError(
        f"{key}={layer_name}: {type(model).__name__} cannot be cut, as its forward pass cannot "
        f"be traced ({(str(error).splitlines() or [''])[0]}). Use a model without decisions on its "
        "data."
    )


def cut_before_head(model: nn.Module, *, key: str) -> Cut:
    """Cut `model` at the last layer before its head that everything passes; `key` asked for it.

    Raises:
        ConfigError: there is none.
    """
    names = layer_names(model)
    reason = "it has no layer before its head"
    for name in reversed(names[: names.index(head(model)[0])]):
        try:
            return cut(model, name)
        except ConfigError as error:
            reason = str(error).partition(": ")[2]
    raise ConfigError(
        f"{key}: {type(model).__name__} cannot be cut before its head: {reason} Name a layer, or "
        "use another model."
    )


def traced(model: nn.Module) -> fx.GraphModule:
    """The whole forward pass as a graph of the model's own layers, in the mode that it is in.

    Raises:
        One of FAILED_TO_TRACE: it decides on its data, or returns no single tensor.
    """
    graph = _Tracer().trace(_Rooted(model))
    start, result = _ends(graph)
    if not isinstance(result, fx.Node):
        raise TypeError(f"{type(model).__name__} does not return a tensor")
    return _part(model, graph, source=start, result=result)


def evaluation_graph(model: nn.Module) -> fx.GraphModule | None:
    """The whole forward pass in evaluation mode as a graph; None where it cannot be traced."""
    if isinstance(model, ByMode):
        return model.evaluation
    try:
        with evaluating(model):
            return traced(model)
    except FAILED_TO_TRACE:
        return None


def layer_graph(model: nn.Module, layer_name: str | None) -> fx.GraphModule | None:
    """What computes a layer's output in evaluation mode, or for None what the head is given.

    Other data may pass beside the layer. None where the forward pass cannot be traced, or calls no
    such layer.
    """
    tracer = _Tracer()
    try:
        with evaluating(model):
            graph = tracer.trace(_Rooted(model))
            node = tracer.outputs.get(layer_name or head(model)[0])
            if node is not None and layer_name is None:
                node = next(iter(node.all_input_nodes), None)
            return (
                None if node is None else _part(model, graph, source=_ends(graph)[0], result=node)
            )
    except FAILED_TO_TRACE:
        return None


class _Rooted(nn.Module):
    """The model as a function of its first argument, the others at their defaults."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Any) -> Any:
        return self.model(x)


class _Tracer(fx.Tracer):
    """Notes what each layer, by its name in the model, made when it was last called."""

    def __init__(self) -> None:
        super().__init__()
        self.outputs: dict[str, fx.Node] = {}

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return not any(True for _ in m.children()) or super().is_leaf_module(
            m, module_qualified_name
        )

    def call_module(
        self,
        m: nn.Module,
        forward: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        output = super().call_module(m, forward, args, kwargs)
        name = _own_name(self.path_of_module(m))
        if name and isinstance(output, fx.Proxy):
            self.outputs[name] = output.node
        return output


def _own_name(path: str) -> str:
    """A path of the traced root as a path of the model."""
    return path.partition(".")[2]


def _ends(graph: fx.Graph) -> tuple[fx.Node, Any]:
    """The input of the forward pass, and what it returns."""
    nodes = list(graph.nodes)
    return nodes[0], nodes[-1].args[0]


def _needed(result: fx.Node, source: fx.Node) -> set[fx.Node]:
    """The nodes that `result` is computed with, given `source`."""
    found, queue = {source}, [result]
    while queue:
        node = queue.pop()
        if node not in found:
            found.add(node)
            queue += node.all_input_nodes
    return found


def _separates(node: fx.Node, graph: fx.Graph) -> bool:
    """Nothing but `node` carries the input to the result."""
    start, result = _ends(graph)
    if not isinstance(result, fx.Node):
        return False
    return start not in _needed(result, node) - {node}


def _suggestion(outputs: dict[str, fx.Node], layer_name: str, graph: fx.Graph) -> str:
    """Another place to cut, the last before the layer's own if there is one before."""
    possible = [name for name, node in outputs.items() if _separates(node, graph)]
    places = {node: place for place, node in enumerate(graph.nodes)}
    here = places.get(outputs[layer_name], 0) if layer_name in outputs else len(places)
    before = [name for name in possible if places[outputs[name]] < here]
    best = (before or possible)[-1:]
    return f" Use a layer that all data pass, such as '{best[0]}'." if best else " Use another."


def _part(model: nn.Module, graph: fx.Graph, *, source: fx.Node, result: fx.Node) -> fx.GraphModule:
    """The computation of `result` from `source`, with the model's own layers."""
    part, needed = fx.Graph(), _needed(result, source)
    entry = part.placeholder("x")
    if _is_overwritten(source, needed, model):
        entry = part.call_method("clone", (entry,))  # latents are kept; they must not change
    copies = {source: entry}
    for node in graph.nodes:
        if node in needed and node is not source:
            if node.op == "get_attr" and not _own_name(str(node.target)):
                raise TypeError("it makes a tensor while it computes, which should be a buffer")
            copies[node] = part.node_copy(node, copies.__getitem__)
            if node.op in ("call_module", "get_attr"):
                copies[node].target = _own_name(str(node.target))
    part.output(copies[result])
    return fx.GraphModule(model, part, class_name=type(model).__name__)


def _is_overwritten(source: fx.Node, needed: set[fx.Node], model: nn.Module) -> bool:
    """An operation works in place on `source`, or on what may be a view of it."""
    views = [source]
    while views:
        tensor = views.pop()
        for user in tensor.users:
            if user not in needed or user.args[:1] != (tensor,):
                continue
            layer = _layer(user, model)
            if _is_in_place(user, layer):
                return True
            if layer is None or not any(True for _ in layer.parameters()):
                views.append(user)
    return False


def _layer(node: fx.Node, model: nn.Module) -> nn.Module | None:
    return model.get_submodule(_own_name(str(node.target))) if node.op == "call_module" else None


def _is_in_place(node: fx.Node, layer: nn.Module | None) -> bool:
    if layer is not None:
        return bool(getattr(layer, "inplace", False))
    name = node.target if node.op == "call_method" else getattr(node.target, "__name__", "")
    named_so = str(name).endswith("_") or node.target in IN_PLACE
    return named_so or bool(node.kwargs.get("inplace", False))


IN_PLACE = {operator.iadd, operator.isub, operator.imul, operator.itruediv}
"""x += y and the like."""
