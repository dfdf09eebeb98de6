"""Gradients of single rows, without a backward pass for each: what importance is estimated from.

The gradient of a row for a layer's parameters follows from what the layer was given of that row and
what the loss wants of its output (`layer_gradients`); of a linear layer no row's gradient is ever
made, as its powers are products of the powers of the two. That no layer of a model mixes rows, and
no weight is used outside its layer, is not taken for granted: two rows are computed both ways, and
a model for which they disagree is read one row at a time.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from clrun.strategies.layer_gradients import Call, RowsOfLayer, recorded_calls

BUDGET = 2**27
"""Bytes that activations and gradients of the rows of one pass may take, roughly."""
MOST_ROWS = 256
AGREED = 1e-3
"""Two ways to compute a sum may differ by this share of it; rounding is far below."""
FAILURES = (RuntimeError, TypeError, ValueError, IndexError, AttributeError, AssertionError)
"""What is raised where a layer cannot be computed for single rows of its inputs."""

log = logging.getLogger("clrun.note")

Sums = dict[str, Tensor]
"""parameter -> a sum over rows, of its shape"""


@dataclass
class RowGradients:
    """Sums over rows of |gradient of the row| ** power, for these parameters of a model.

    The model is in the mode in which it is to be read, and stays as it is.
    """

    model: nn.Module
    parameters: Mapping[str, nn.Parameter]
    """by any name; they have gradients"""
    power: int
    """1 or 2"""
    rows_at_once: int = field(default=0, init=False)
    """of one pass; 0 while that is not known, 1 too where the model has to be read so"""
    by_layers: bool = field(default=True, init=False)
    """many rows are read in one pass, layer by layer"""

    def sums(self, inputs: Tensor, directions: Tensor, weights: Tensor) -> Sums:
        """Sum over rows b and directions k of weights[b, k] * |gradient| ** power, where the
        gradient is that of directions[b, k] . logits[b].

        [B, ...], [B, K, C], [B, K] -> for each parameter a tensor of its shape
        """
        found = self._nothing()
        if not self.parameters:
            return found
        if not self.rows_at_once:
            self._try(inputs[:2], directions[:2])
        read = self._by_layers if self.by_layers else self._by_row
        parts = [each.split(self.rows_at_once) for each in (inputs, directions, weights)]
        for rows in zip(*parts, strict=True):
            for name, total in read(*rows).items():
                found[name] += total
        return found

    def _nothing(self) -> Sums:
        return {name: torch.zeros_like(p) for name, p in self.parameters.items()}

    def _by_row(self, inputs: Tensor, directions: Tensor, weights: Tensor) -> Sums:
        """The definition, for one row."""
        found, logits = self._nothing(), self.model(inputs)
        for k in _used(weights):
            ours = torch.autograd.grad(
                logits,
                list(self.parameters.values()),
                directions[:, k],
                retain_graph=True,
                allow_unused=True,
            )
            for total, gradient in zip(found.values(), ours, strict=True):
                if gradient is not None:
                    total += weights[0, k] * self._to_power(gradient)
        return found

    def _by_layers(self, inputs: Tensor, directions: Tensor, weights: Tensor) -> Sums:
        """The same for many rows."""
        found, used = self._nothing(), _used(weights)
        with recorded_calls(self.model, self.parameters.values()) as calls:
            logits = self.model(inputs)
        outputs = [call.gave for call in calls]
        if not outputs or not used:
            return found
        wanted = [
            torch.autograd.grad(
                logits, outputs, directions[:, k], retain_graph=True, materialize_grads=True
            )
            for k in used
        ]
        weights = weights[:, used]
        for name, parameter in self.parameters.items():
            at = [n for n, call in enumerate(calls) if call.name_of(parameter) is not None]
            of = [(calls[n], torch.stack([each[n] for each in wanted], 1)) for n in at]
            if of:
                found[name] = self._of_parameter(parameter, of, weights)
        return found

    def _of_parameter(
        self, parameter: nn.Parameter, of: Sequence[tuple[Call, Tensor]], weights: Tensor
    ) -> Tensor:
        """Its sum, given each call of a layer that has it and what is wanted of that [B, K, ...]"""
        call, wanted = of[0]
        if len(of) == 1 and call.is_product and parameter.dim() == 2:
            left = (self._to_power(wanted) * weights[:, :, None]).sum(1)
            return left.T @ self._to_power(call.given[0])
        rows, found = [RowsOfLayer(call, parameter) for call, _ in of], torch.zeros_like(parameter)
        for k in range(weights.shape[1]):
            each = [r.gradients(g[:, k]) for r, (_, g) in zip(rows, of, strict=True)]
            powers = self._to_power(sum(each[1:], each[0]))
            found += (weights[:, k] @ powers.flatten(1)).view_as(parameter)
        return found

    def _to_power(self, gradient: Tensor) -> Tensor:
        return gradient.abs() if self.power == 1 else gradient.square()

    def _try(self, inputs: Tensor, directions: Tensor) -> None:
        """Find out whether the layers tell what the rows do, and how many rows to read at once."""
        count, directions = directions.shape[1], directions[:, -2:]
        weights = torch.ones_like(directions[:, :, 0])
        expected = self._nothing()
        for rows in zip(inputs.split(1), directions.split(1), weights.split(1), strict=True):
            for name, total in self._by_row(*rows).items():
                expected[name] += total
        try:
            found = self._by_layers(inputs, directions, weights)
            self.rows_at_once = self._that_fit(inputs, count)
        except FAILURES as error:
            self._give_up(f"a layer cannot be computed for single rows ({_first_line(error)})")
            return
        apart = [name for name in expected if not _agree(found[name], expected[name])]
        if apart:
            self._give_up(f"the gradient of {apart[0]} does not follow from its layer alone")

    def _give_up(self, reason: str) -> None:
        self.by_layers, self.rows_at_once = False, 1
        log.warning(
            "%s is read one row at a time for the importance of its weights, which takes long: %s.",
            type(self.model).__name__,
            reason,
        )

    def _that_fit(self, inputs: Tensor, directions: int) -> int:
        """How many rows to read at once: activations and what is wanted of them in each direction
        are kept, and the largest gradient is made."""
        with recorded_calls(self.model, self.parameters.values()) as calls, torch.no_grad():
            self.model(inputs)
        kept = sum(each.numel() for call in calls for each in call.given)
        wanted = sum(call.gave.numel() for call in calls) * (directions + 1)
        largest = max((call.values_made for call in calls), default=0)
        bytes_of_a_row = 4 * ((kept + wanted) // len(inputs) + largest) + 1
        return max(1, min(MOST_ROWS, BUDGET // bytes_of_a_row))


def _used(weights: Tensor) -> list[int]:
    """The directions that have a weight in any row."""
    found: list[int] = weights.ne(0).any(0).nonzero().flatten().tolist()
    return found


def _agree(found: Tensor, expected: Tensor) -> bool:
    return bool((found - expected).norm() <= AGREED * expected.norm())


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
