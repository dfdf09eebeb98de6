"""A model's forward pass in evaluation mode, in its quickest form that gives the same numbers.

Gain and cost are those of `folding`. A model may be anybody's: whatever it does that a trace does
not see, it must go on doing. So the quick form is compared with the model itself on the first
rows of each kind, both as copies of the model, and where they differ the model itself serves.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn

from clrun.attributes import TooMany, are_same, hooks, is_inside, readable, versions
from clrun.device.device import Device
from clrun.errors import ClrunError
from clrun.fast.folding import folded, is_foldable
from clrun.seeds import isolated

Forward = Callable[[Tensor], Tensor]
Trace = Callable[[nn.Module], fx.GraphModule | None]
"""A model's forward pass in evaluation mode as a graph of its own layers; None if there is none."""
TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-4}
"""Share of the largest value that rounding may make, where weights are scaled and not results."""
TOLERANCE_IN_16_BITS = 0.1
COMPARED = 4
"""Rows on which the two forms are compared: more tell nothing new, and 30 images of 128 px took
MobileNetV1 0.3 s more, one in a hundred of AR1's training on 3 times 240 of them."""

log = logging.getLogger("clrun.note")


class EvaluatingForm:
    """A model's forward pass while it is in evaluation mode, its convolutions folded.

    It is made when first called, and again when layers, parameters, hooks or attributes (a flag,
    the number of a head) were exchanged for others: a trace takes them for constant. `forward`
    serves where nothing can be folded or traced, and where the folded form gives other numbers or
    would not do all that the model does; `runnable` makes a folded model callable.
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
        self._read: list[Any] = []
        self._kinds: set[Any] = set()  # of minibatches on which both forms were compared
        self._forward = forward
        self._is_plain = not any(map(is_foldable, model.modules()))

    def __call__(self, x: Tensor) -> Tensor:
        if self._is_plain:
            return self._plain(x)
        try:
            read = readable(self._model)
        except TooMany as error:
            return self._given_up(f"{error} holds too much to look through", x)
        if not are_same(read, self._read):
            self._read, self._kinds, self._forward = read, set(), self._plain
        kind = _kind(x)
        if kind not in self._kinds:
            obstacle = self._obstacle(x)
            if obstacle is not None:
                return self._given_up(obstacle, x)
            if not self._kinds:
                self._forward = self._made()
            self._kinds.add(kind)
        return self._forward(x)

    def _made(self) -> Forward:
        graph = self._trace(self._model)
        return self._plain if graph is None else self._runnable(folded(graph, tricks=True))

    def _given_up(self, obstacle: str, x: Tensor) -> Tensor:
        """Leave it at the model itself, and say so where there was a reason to say."""
        self._is_plain, self._forward = True, self._plain
        if obstacle:
            log.warning(
                "%s is evaluated layer by layer, which is slower: %s.",
                type(self._model).__name__,
                obstacle,
            )
        return self._plain(x)

    @torch.no_grad()
    def _obstacle(self, x: Tensor) -> str | None:
        """Why the folded form must not serve for minibatches like this one; None if it may.

        The model itself is not called: a forward pass may count its calls. So may a hook, and that
        is nobody's copy.
        """
        x = x[:COMPARED]
        if any(map(hooks, self._model.modules())):
            return "hooks are called for its layers"
        try:
            quick, plain = copy.deepcopy(self._model), copy.deepcopy(self._model)
        except ClrunError:  # a signal that was noted ends more than this
            raise
        except Exception as error:  # whatever a layer of somebody's raises
            return f"it cannot be copied ({str(error).splitlines()[0][:80]})"
        graph = self._trace(quick)
        if graph is None:
            return ""
        called = [str(node.target) for node in graph.graph.nodes if node.op == "call_module"]
        through = [m for name, m in plain.named_modules() if not is_inside(name, called)]
        before = [versions(module) for module in through]
        with isolated(0, "comparison", device=x.device):
            expected = plain(x.clone())
        if not all(map(are_same, before, map(versions, through))):
            return "its forward pass changes what it reads"
        with isolated(0, "comparison", device=x.device):
            given = folded(graph, tricks=True)(x.clone())
        return None if _agree(given, expected) else "folding its convolutions gives other numbers"


def evaluating_form(model: nn.Module, forward: Forward, device: Device, trace: Trace) -> Forward:
    """The model's forward pass in evaluation mode: its `EvaluatingForm`, or `forward` itself."""
    return EvaluatingForm(model, forward, device.runnable, trace) if device.tricks else forward


def _kind(x: Tensor) -> Any:
    """What a forward pass may do otherwise for one minibatch than for another."""
    autocast = torch.is_autocast_enabled(x.device.type)
    return x.shape[1:], x.dtype, x.device, len(x) == 1, autocast


def _agree(given: Any, expected: Any) -> bool:
    """Whether two results are the same but for rounding."""
    if not isinstance(given, Tensor) or not isinstance(expected, Tensor):
        return False
    if given.shape != expected.shape or given.dtype != expected.dtype:
        return False
    share = TOLERANCE.get(expected.dtype, TOLERANCE_IN_16_BITS)
    if torch.is_autocast_enabled(expected.device.type):
        share = TOLERANCE_IN_16_BITS
    largest = expected[expected.isfinite()].abs().max() if expected.isfinite().any() else 0.0
    apart = (given.double() - expected.double()).abs()
    return not bool((apart > share * largest).any())  # where both are not finite, no difference
