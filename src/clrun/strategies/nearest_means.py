"""Prediction by the nearest class mean of a model's features; its head has no say.

A class is the mean of the unit-length features of some of its rows, brought to unit length itself
(iCaRL, Rebuffi et al. 2017, https://arxiv.org/abs/1611.07725, algorithm 1). A row's logits are
minus its squared distances from the means. A class without a row is never the nearest one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn
from torch.nn.functional import normalize

from clrun.device.rows import Rows, rows_at_once
from clrun.errors import ConfigError
from clrun.memory.selection import unit_length
from clrun.memory.table import Table
from clrun.models.copies import copy_of
from clrun.models.cut import evaluation_graph, forms_of
from clrun.models.features import evaluating, head, head_inputs
from clrun.profiling.spans import span
from clrun.seeds import isolated
from clrun.strategies.descent import MemoryStrategy
from clrun.streams.experience import StreamShape

NEVER = -20.0
"""The logit of a class without a mean: no squared distance between rows of unit length is above 4.
Finite and no larger than that, as rounding is judged by the largest logit."""


class ClassMeans(NamedTuple):
    """A mean for each class, and which of them are one."""

    means: Tensor
    """[C, d] float32, of unit length, or zeros"""
    seen: Tensor
    """[C] bool"""

    def to(self, device: torch.device) -> ClassMeans:
        return ClassMeans(self.means.to(device), self.seen.to(device))


def class_means(features: Tensor, y: Tensor, num_classes: int) -> ClassMeans:
    """The means of unit-length features, in float64 on the CPU. [n, d], [n] int64"""
    rows = unit_length(features)
    sums = rows.new_zeros(num_classes, rows.shape[1]).index_add_(0, y.cpu(), rows)
    return ClassMeans(unit_length(sums).float(), y.cpu().bincount(minlength=num_classes) > 0)


def nearness(features: Tensor, found: ClassMeans) -> Tensor:
    """Minus the squared distance of unit-length features from each mean. [B, d] -> [B, C]"""
    with torch.autocast(features.device.type, enabled=False):  # 16 bits would make ties
        cosines = normalize(features.flatten(1).float(), dim=1) @ found.means.T
    return (2 * cosines - 2).masked_fill(~found.seen, NEVER)


class NearestMeans(nn.Module):
    """A model without its head, and class means: images -> logits. The means are buffers."""

    means: Tensor
    seen: Tensor

    def __init__(self, features: nn.Module, found: ClassMeans) -> None:
        """`features`: see `without_head`."""
        super().__init__()
        self.features = features
        self.register_buffer("means", found.means)
        self.register_buffer("seen", found.seen)

    def forward(self, x: Tensor) -> Tensor:
        return nearness(self.features(x), ClassMeans(self.means, self.seen))


def exchange(model: nn.Module, name: str, layer: nn.Module) -> nn.Module:
    """The model, in which `layer` has taken the place of the layer called `name`."""
    owner, _, own_name = name.rpartition(".")
    for form in (model, *forms_of(model)):
        setattr(form.get_submodule(owner), own_name, layer)
    return model


def without_head(model: nn.Module, name: str | None = None) -> nn.Module:
    """The model, which from now on answers with what its head was given. `name`: the head's."""
    return exchange(model, name or head(model)[0], nn.Identity())


def require_head_is_last(model: nn.Module, shape: StreamShape) -> None:
    """Refuse a model that does more to its features than its head does; it stays as it is.

    Raises:
        ConfigError: it has no linear layer, or computes with what that gives.
    """
    name, _ = head(model)
    if _ends_in(name, model):
        return
    size = (2, shape.channels, shape.height, shape.width)
    x = torch.rand(size, generator=torch.Generator().manual_seed(0))
    whole, headless = copy_of(model), without_head(copy_of(model))
    with torch.no_grad(), evaluating(whole), evaluating(headless):
        with isolated(0, "comparison"):
            expected = head_inputs(whole, x.clone())
        with isolated(0, "comparison"):
            given = headless(x.clone())
    if given.shape != expected.shape or not torch.allclose(given, expected, equal_nan=True):
        raise ConfigError(
            f"model={type(model).__name__}: does more than its last linear layer ({name}) to the "
            "features that class means are made of. Use a model that ends in one, or another "
            "strategy."
        )


def _ends_in(name: str, model: nn.Module) -> bool:
    """Whether the forward pass can be seen to return what the layer gives."""
    graph = evaluation_graph(model)
    if graph is None:
        return False
    last = next(iter(reversed(graph.graph.nodes))).args[0]
    return isinstance(last, fx.Node) and (last.op, last.target) == ("call_module", name)


class NearestMeansStrategy(MemoryStrategy):
    """What strategies share that predict by the means of stored rows, by the weights of now.

    Means are computed when something is predicted, and serve until `learn` calls `outdate`, which
    it does after each update and at its end. They follow from the rest of the state, and are no
    part of it. A class made of this has `learner`, `memory` and `head_name`.
    """

    head_name: str
    """of the layer whose inputs the features are"""
    _found: ClassMeans | None = None

    @staticmethod
    def check(config: Any, model: nn.Module, shape: StreamShape) -> None:
        MemoryStrategy.check(config, model, shape)
        require_head_is_last(model, shape)

    def exemplars(self) -> Table:
        """The rows that the means are made of."""
        return self.memory.exemplars

    def views(self, x: Tensor) -> Sequence[Tensor]:
        """What of rows goes into a mean: the rows themselves. [n, ...] -> each [n, ...]"""
        return [x]

    def outdate(self) -> None:
        """The weights or the stored rows have changed."""
        self._found = None

    def class_means(self) -> ClassMeans:
        """The means by the weights of now, on the device."""
        if self._found is None:
            with span("class means"):
                self._found = self._computed(self.exemplars())
        return self._found

    def _computed(self, rows: Table) -> ClassMeans:
        learner, device = self.learner, self.learner.parts.device.torch
        num_classes = learner.parts.num_classes
        if not len(rows):
            return _none(learner.model, num_classes).to(device)
        size, views = rows_at_once(learner.keys.eval_mb_size, rows.x, device), self.views(rows.x)
        features = [learner.features(part).cpu() for x in views for part in x.split(size)]
        found = class_means(torch.cat(features), rows.y.repeat(len(views)), num_classes)
        return found.to(device)

    def predict(self, x: Rows) -> Tensor:
        """Minus the squared distance from each class's mean. [B, C, H, W] -> [B, num_classes]"""
        found = self.class_means()
        return nearness(self.learner.features(x), found)

    @classmethod
    def predictor(cls, config: Any, model: nn.Module, shape: StreamShape) -> nn.Module:
        """The model without its head, and the means."""
        found = _none(model, shape.num_classes)
        return NearestMeans(without_head(model), found)

    def trained_predictor(self) -> nn.Module:
        model = without_head(copy_of(self.learner.model), self.head_name)
        return NearestMeans(model, self.class_means())

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.outdate()


def _none(model: nn.Module, num_classes: int) -> ClassMeans:
    """No mean of any class."""
    width, no_labels = head(model)[1].in_features, torch.zeros(0, dtype=torch.int64)
    return class_means(torch.zeros(0, width), no_labels, num_classes)
