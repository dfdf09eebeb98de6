"""Importances of parameters by their definition: one row at a time, in double precision."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn

Importances = dict[str, Tensor]


def fisher(
    model: nn.Module,
    inputs: Tensor,
    kind: str,
    labels: Sequence[int],
    active: Sequence[Sequence[int]] | None = None,
) -> Importances:
    """The diagonal of the Fisher information of softmax over each row's active outputs.

    `labels` are what was drawn for `sample`, and the rows' own for `empirical`.
    """
    twin = _double(model)
    found = _zeros(twin)
    for number, row in enumerate(inputs.double()):
        outputs = twin(row[None])[0]
        known = list(range(len(outputs))) if active is None else list(active[number])
        logs = {c: outputs[c] - outputs[known].logsumexp(0) for c in known}
        if kind == "exact":
            chosen = [(c, logs[c].exp().item()) for c in known]
        elif kind == "predicted":
            chosen = [(max(known, key=lambda c: outputs[c].item()), 1.0)]
        else:
            chosen = [(labels[number], 1.0)]
        for c, weight in chosen:
            for name, gradient in _gradients(logs[c], twin).items():
                found[name] += weight * gradient.square() / len(inputs)
    return found


def sensitivity(
    model: nn.Module, inputs: Tensor, active: Sequence[Sequence[int]] | None = None
) -> Importances:
    """Mean over rows of |gradient of the squared norm of the active outputs|."""
    twin = _double(model)
    found = _zeros(twin)
    for number, row in enumerate(inputs.double()):
        outputs = twin(row[None])[0]
        known = outputs if active is None else outputs[list(active[number])]
        for name, gradient in _gradients(known.square().sum(), twin).items():
            found[name] += gradient.abs() / len(inputs)
    return found


def _double(model: nn.Module) -> nn.Module:
    return deepcopy(model).double().eval()


def _zeros(model: nn.Module) -> Importances:
    return {name: torch.zeros_like(p) for name, p in model.named_parameters()}


def _gradients(value: Tensor, model: nn.Module) -> Importances:
    named = dict(model.named_parameters())
    trained = {name: p for name, p in named.items() if p.requires_grad}
    gradients = torch.autograd.grad(
        value, list(trained.values()), retain_graph=True, materialize_grads=True
    )
    return dict(zip(trained, gradients, strict=True))
