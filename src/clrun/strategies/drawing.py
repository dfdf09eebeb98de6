"""Which modules and plugins may draw random numbers, from generators that we do not own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import fx, nn

from clrun.attributes import hooks
from clrun.models.cut import ByMode
from clrun.models.dropout import SeededDropout, reseed
from clrun.seeds import derive, seed_generators
from clrun.strategies.places import Place

RANDOM = (
    *(nn.modules.dropout._DropoutNd, nn.RReLU, nn.FractionalMaxPool2d, nn.FractionalMaxPool3d),
    nn.MultiheadAttention,
)
"""PyTorch's layers that draw, beside those with an attribute `dropout`."""
RANDOM_CALLS = (
    *("rand", "normal", "bernoulli", "multinomial", "poisson", "dropout", "rrelu", "fractional"),
    *("uniform", "exponential", "geometric", "cauchy", "gumbel", "attention"),
)
"""What is in the names of PyTorch's functions that draw, or may."""
KNOWN_CALLS = ("torch", "torchvision", "_operator", "operator", "math", "builtins")


def is_foreign(part: object) -> bool:
    """Whether a module or plugin may draw from NumPy's or Python's generators: it is not ours."""
    graphs = _graphs(part)
    if graphs:
        functions = [call for call in _calls(graphs) if not isinstance(call, str)]
        modules = {getattr(call, "__module__", None) or "torch" for call in functions}
        return any(module.partition(".")[0] not in KNOWN_CALLS for module in modules)
    is_known = type(part).__module__.startswith(("clrun.", "torch.nn.", "torchvision."))
    return not is_known or (isinstance(part, nn.Module) and bool(hooks(part)))


def may_draw(module: nn.Module) -> bool:
    """Whether it may draw from PyTorch's: dropout and the like, or a layer we do not know."""
    graphs = _graphs(module)
    if graphs:
        names = " ".join(getattr(call, "__name__", str(call)) for call in _calls(graphs))
        return is_foreign(module) or any(word in names for word in RANDOM_CALLS)
    if type(module).__module__.startswith("clrun."):
        return False
    if not type(module).__module__.startswith("torch.nn."):
        return True
    return isinstance(module, RANDOM) or bool(getattr(module, "dropout", 0))


def _graphs(part: object) -> Sequence[fx.Graph]:
    """What a part of a cut model calls beside its layers: functions, in each of its modes."""
    if isinstance(part, ByMode):
        return [form.graph for form in part.forms]
    return [part.graph] if isinstance(part, fx.GraphModule) else []


def _calls(graphs: Sequence[fx.Graph]) -> list[object]:
    """The functions that are called, and the names of methods of tensors."""
    nodes = [node for graph in graphs for node in graph.nodes]
    return [node.target for node in nodes if node.op in ("call_function", "call_method")]


class ModuleDraws:
    """Starts the generators that a model's modules and plugins draw from, where any may draw.

    Randomness of a module of somebody's own then follows from a purpose and a place alone too.
    """

    def __init__(
        self, model: nn.Module, plugins: Sequence[object], seed: int, device: torch.device
    ) -> None:
        self._model, self._seed, self._device = model, seed, device
        self._has_dropout = any(isinstance(m, SeededDropout) for m in model.modules())
        self._is_foreign = any(map(is_foreign, [*model.modules(), *plugins]))
        self._draws = self._is_foreign or any(map(may_draw, model.modules()))

    def seed(self, purpose: str, experience: int = 0, epoch: int = 0, iteration: int = 0) -> None:
        """Start the global generators afresh, if modules may draw from them: ours never do."""
        if not self._draws:
            return
        seed = derive(self._seed, f"drawn by modules: {purpose}", experience, epoch, iteration)
        seed_generators(seed, self._device, foreign=self._is_foreign)

    def enter(self, place: Place) -> None:
        """Start those of an update, and our own dropout's."""
        self.seed("update", place.experience, place.epoch, place.iteration)
        if self._has_dropout:
            reseed(self._model, self._seed, place.experience, place.epoch, place.iteration)
