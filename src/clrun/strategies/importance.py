"""How much each parameter matters for an experience: a mean over its rows, of each row's gradient.

Of every row apart, in evaluation mode, without augmentation and in float32: the square of a
minibatch's mean gradient, which several implementations take, is smaller by about the minibatch's
size, and its absolute value never larger than the mean of the rows'.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, nn

from clrun.strategies.plugin import Learnt
from clrun.strategies.row_gradients import RowGradients, Sums

READ = 256
"""Rows that are made inputs at a time."""

Directions = Callable[[Tensor], tuple[Tensor, Tensor]]
"""The numbers of some of the rows that are read -> what is differentiated of their logits as
coefficients [B, K, num_classes], and the weight of each [B, K]."""


class RowsRead:
    """Some rows of an experience that was learnt, and what the model answers to them."""

    def __init__(self, learnt: Learnt, most: int | None, purpose: str) -> None:
        """At most this many, drawn without replacement; None: all."""
        self._learnt, y = learnt, learnt.experience.train.y
        self._rows = torch.arange(len(y))
        if most is not None and most < len(y):
            drawn = torch.randperm(len(y), generator=learnt.generator(purpose))[:most]
            self._rows = drawn.sort().values
        assert learnt.part is not None, "a learner says what it is"
        self._part = learnt.part
        with torch.no_grad():
            answers = [(self._part(inputs), labels) for inputs, labels in self._minibatches()]
        self.logits = torch.cat([logits for logits, _ in answers])
        """[N, num_classes]"""
        self.y = torch.cat([labels for _, labels in answers])
        """[N] int64"""
        with torch.no_grad():
            self.masked = learnt.masked(self.logits, self.y)
        """[N, num_classes], those of inactive outputs so low that no softmax sees them"""

    def mean(
        self, parameters: Mapping[str, nn.Parameter], directions: Directions, power: int
    ) -> Sums:
        """Mean over rows of the sum over directions of weight * |gradient| ** power, for those of
        the parameters that learn from these rows."""
        own = {id(parameter) for parameter in self._learnt.parameters.values()}
        learning = {name: p for name, p in parameters.items() if id(p) in own}
        gradients = RowGradients(self._part, learning, power)
        found = {name: torch.zeros_like(p) for name, p in learning.items()}
        numbers = torch.arange(len(self.y), device=self.y.device).split(READ)
        for rows, (inputs, _) in zip(numbers, self._minibatches(), strict=True):
            for name, total in gradients.sums(inputs, *directions(rows)).items():
                found[name] += total
        return {name: total / len(self.y) for name, total in found.items()}

    def _minibatches(self) -> Iterator[tuple[Tensor, Tensor]]:
        for inputs, y in self._learnt.minibatches(READ, self._rows):
            yield inputs.float(), y  # latents may be of a lower precision
