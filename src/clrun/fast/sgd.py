"""Stochastic gradient descent in two calls an update, however many parameters there are.

`torch.optim.SGD` gives the same bits on the CPU, but constructing it imports PyTorch's compiler,
which takes longer than the default experiment, and its own fused form rounds momentum otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor


class SGD:
    """b = momentum b + g + weight_decay p, then p = p - lr b, for every parameter with a gradient.

    The velocity b is 0 before the first update. State dicts are those of `torch.optim.SGD`, and can
    be exchanged with it. Use it with or without a `torch.amp.GradScaler`, which hands over its
    scale and whether to skip this update, so that nothing waits for the device.
    """

    _step_supports_amp_scaling = True
    """GradScaler reads it, and sets `grad_scale` and `found_inf` for the time of a step."""

    def __init__(
        self,
        groups: Iterable[Mapping[str, Any]],
        lr: float,
        *,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
    ) -> None:
        usual = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        self.param_groups: list[dict[str, Any]] = [{**_UNUSED, **usual, **g} for g in groups]
        self.velocity: dict[Tensor, Tensor] = {
            parameter: torch.zeros_like(parameter, memory_format=torch.preserve_format)
            for group in self.param_groups
            if group["momentum"]
            for parameter in group["params"]
        }

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients: the next backward pass makes new ones."""
        assert set_to_none
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """One update of every parameter that has a gradient."""
        for group in self.param_groups:
            learning = [p for p in group["params"] if p.grad is not None]
            if learning:
                self._step(learning, [p.grad for p in learning], group)

    def _step(self, learning: list[Tensor], grads: list[Tensor], group: Mapping[str, Any]) -> None:
        momentum, found_inf = group["momentum"], getattr(self, "found_inf", None)
        velocity = [self.velocity[p] for p in learning] if momentum else []
        if velocity and found_inf is None:
            # two roundings, like torch.optim.SGD; the fused kernel alone would round once
            torch._foreach_mul_(velocity, momentum)
            momentum = 1.0
        torch._fused_sgd_(
            learning,
            grads,
            velocity,
            weight_decay=group["weight_decay"],
            momentum=momentum,
            lr=group["lr"],
            dampening=0.0,
            nesterov=False,
            maximize=False,
            is_first_step=False,
            grad_scale=getattr(self, "grad_scale", None),
            found_inf=found_inf,
        )

    def state_dict(self) -> dict[str, Any]:
        """Velocities by the parameters' numbers, and the groups."""
        numbers, groups = _numbered(self.param_groups)
        state = {numbers[p]: {"momentum_buffer": b} for p, b in self.velocity.items()}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Continue from such a state, copied; one without velocities is one before any update."""
        numbers, _ = _numbered(self.param_groups)
        for group, told in zip(self.param_groups, saved["param_groups"], strict=True):
            assert len(group["params"]) == len(told["params"]), "the state is of other parameters"
            group.update({key: value for key, value in told.items() if key in _READ})
        for parameter, velocity in self.velocity.items():
            before = saved["state"].get(numbers[parameter], {}).get("momentum_buffer")
            velocity.zero_() if before is None else velocity.copy_(before)


_READ = ("lr", "momentum", "weight_decay")
_UNUSED = {
    "dampening": 0,
    "nesterov": False,
    "maximize": False,
    "foreach": None,
    "differentiable": False,
    "fused": None,
}
"""What torch.optim.SGD's groups have besides."""


def _numbered(
    groups: Iterable[Mapping[str, Any]],
) -> tuple[dict[Tensor, int], list[dict[str, Any]]]:
    """Each parameter's number, and the groups with numbers in the place of parameters."""
    numbers: dict[Tensor, int] = {}
    told = []
    for group in groups:
        for parameter in group["params"]:
            numbers[parameter] = len(numbers)
        told.append({**group, "params": [numbers[p] for p in group["params"]]})
    return numbers, told
