"""One head that an optimizer sees as separate ones, each of the classes of an experience.

Masked outputs get a gradient of 0, which is not none: under weight decay, momentum or Adam's
moments their rows would move all the same, and Adam counts updates. Heads that are really separate
have no gradient in an update without a row of theirs, and stay as they are with all that the
optimizer keeps of them. So the optimizer is given a parameter for the rows of each experience, and
none for the whole head.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from clrun.errors import ConfigError
from clrun.models.features import head
from clrun.strategies.descent_keys import DescentKeys


def require_separable(keys: DescentKeys, model: nn.Module, num_classes: int) -> None:
    """Refuse a model whose head has not a row for each class, where the rows are to be separate.

    Raises:
        ConfigError: it has not, or no head at all.
    """
    if keys.active != "experience":
        return
    name, last = head(model)
    if last.out_features != num_classes:
        raise ConfigError(
            f"strategy.active=experience: {name}, the last linear layer of {type(model).__name__}, "
            f"has {last.out_features} outputs for {num_classes} classes. Use strategy.active=seen, "
            "or a model that ends in one with an output for each class."
        )


class SeparateHeads:
    """The rows of a head's weight and bias as parameters of their own, for the optimizer alone.

    They lie behind one another, those of each experience together, so that all of them are read
    from the head and written back at once. Which of them an update trains is not asked of a CUDA
    device, which would have to be waited for: there all take the optimizer's step, and those that
    are not trained get back what they had.
    """

    def __init__(self, head: nn.Module) -> None:
        self._whole = list(head.parameters(recurse=False))
        self._classes = torch.empty(0, dtype=torch.int64)  # whose rows these are, in order
        self._rows: list[Tensor] = []  # for each whole: those rows, and room for the others
        self._spans: list[slice] = []  # of each experience
        self._apart: list[list[nn.Parameter]] = []  # of each experience: as many as are whole

    def divide(self, optimizer: Optimizer, table: Tensor) -> None:
        """Let the optimizer have the rows of each experience in the table [E, num_classes].

        Those it has are kept while they are the first ones of the table.
        """
        sizes = table.sum(1).tolist()
        if len(sizes) < len(self._apart) or not self._is_given(optimizer):
            self._remove(optimizer)
        if not self._apart:
            self._rows = [whole.detach().clone() for whole in self._whole]
        self._classes = table.nonzero()[:, 1]
        for size, end in list(zip(sizes, accumulate(sizes), strict=True))[len(self._apart) :]:
            span = slice(end - size, end)
            self._spans.append(span)
            self._apart.append([nn.Parameter(rows[span]) for rows in self._rows])
            for whole, parameter in zip(self._whole, self._apart[-1], strict=True):
                _group_of(optimizer, whole).append(parameter)

    def _is_given(self, optimizer: Optimizer) -> bool:
        """Whether the optimizer has these parameters: it may be another one by now."""
        had = {id(p) for group in optimizer.param_groups for p in group["params"]}
        return all(id(parameter) in had for apart in self._apart for parameter in apart)

    def _remove(self, optimizer: Optimizer) -> None:
        ours = {id(parameter) for apart in self._apart for parameter in apart}
        for group in optimizer.param_groups:
            group["params"] = [p for p in group["params"] if id(p) not in ours]
        for parameter in [p for p in optimizer.state if id(p) in ours]:
            del optimizer.state[parameter]
        self._spans, self._apart = [], []

    @contextmanager
    def apart(self, used: Tensor, optimizer: Optimizer) -> Iterator[None]:
        """While the optimizer takes a step: the rows of those experiences alone learn for which
        `used` [E] is true."""
        waits = not used.is_cuda
        stepping = used.nonzero().flatten().tolist() if waits else range(len(self._apart))
        gradients = [whole.grad for whole in self._whole]
        with torch.no_grad():
            self._hand_over(stepping)
            before = [] if waits else self._as_they_are(optimizer)
        try:
            yield
        finally:
            with torch.no_grad():
                self._give_back(used, before, optimizer)
                self._take_back(stepping, gradients)

    def _as_they_are(self, optimizer: Optimizer) -> list[list[_Known]]:
        """Copies of the rows of each experience, with what the optimizer keeps of them."""
        return [[_Known.of(p, optimizer) for p in apart] for apart in self._apart]

    def _give_back(
        self, used: Tensor, before: Sequence[Sequence[_Known]], optimizer: Optimizer
    ) -> None:
        """Let the rows of the experiences that were not used be what they were."""
        for k, known in enumerate(before):
            for parameter, was in zip(self._apart[k], known, strict=True):
                was.give_back(used[k], parameter, optimizer)

    def _hand_over(self, used: Sequence[int]) -> None:
        """Give values and gradients of the whole to the parts; the whole has no gradient then."""
        for place, (whole, rows) in enumerate(zip(self._whole, self._rows, strict=True)):
            gradient, whole.grad = whole.grad, None
            if gradient is None:
                continue
            count = len(self._classes)  # others may have changed the head since
            torch.index_select(whole, 0, self._classes, out=rows[:count])
            ordered = gradient[self._classes]
            for k in used:
                self._apart[k][place].grad = ordered[self._spans[k]]

    def _take_back(self, used: Sequence[int], gradients: Sequence[Tensor | None]) -> None:
        """Write the parts into the whole, which has its gradients again."""
        for place, (whole, gradient) in enumerate(zip(self._whole, gradients, strict=True)):
            whole.grad = gradient
            if gradient is None:
                continue
            whole.index_copy_(0, self._classes, self._rows[place][: len(self._classes)])
            for k in used:
                self._apart[k][place].grad = None


class _Known(NamedTuple):
    """A parameter and what an optimizer keeps of it, as copies."""

    values: Tensor
    kept: Mapping[str, Tensor]

    @classmethod
    def of(cls, parameter: Tensor, optimizer: Optimizer) -> _Known:
        kept = {name: x.clone() for name, x in _tensors(optimizer, parameter)}
        return cls(parameter.clone(), kept)

    def give_back(self, moved: Tensor, parameter: Tensor, optimizer: Optimizer) -> None:
        """Undo a step unless `moved` [] is true; what the step made first was 0 before."""
        parameter.copy_(torch.where(moved, parameter, self.values))
        for name, now in _tensors(optimizer, parameter):
            before = self.kept[name] if name in self.kept else torch.zeros_like(now)
            now.copy_(torch.where(moved, now, before))


def _tensors(optimizer: Optimizer, parameter: Tensor) -> list[tuple[str, Tensor]]:
    """What it keeps of a parameter: on the device, its count of steps too, as it is a fused one."""
    kept = optimizer.state.get(parameter, {})
    return [(name, value) for name, value in kept.items() if isinstance(value, Tensor)]


def _group_of(optimizer: Optimizer, parameter: nn.Parameter) -> list[nn.Parameter]:
    """The parameters that are optimised like this one."""
    groups = [group["params"] for group in optimizer.param_groups]
    return next(params for params in groups if any(p is parameter for p in params))
