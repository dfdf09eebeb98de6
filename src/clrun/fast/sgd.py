"""Stochastic gradient descent in two calls an update, however many parameters there are.

Gain: `torch.optim.SGD` gives the same bits on the CPU, but constructing it imports PyTorch's
compiler, which takes 1.4 CPU seconds, twice what the default experiment needs from importing torch
to its first update; and its own fused form rounds momentum otherwise. Cost: four methods of
`Optimizer` are taken out of the wrapper that does the import, and the update is a private kernel of
PyTorch's (the one behind `fused=True`). A step is not wrapped in a profiler's record either, which
would take twice its time in a small network; so hooks of one optimizer are called, and hooks of all
optimizers are not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from inspect import unwrap
from operator import is_
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from clrun.fast.one_vector import zeros_in_one_vector

NO_VECTOR: tuple[Tensor, list[Tensor]] = (torch.empty(0), [])
FIXED = {
    "dampening": 0,
    "nesterov": False,
    "maximize": False,
    "foreach": None,
    "differentiable": False,
    "fused": None,
}
"""What the groups of `torch.optim.SGD` have besides; only these values are known here."""


def sgd(
    params: Iterable[Tensor] | Iterable[dict[str, Any]],
    lr: float,
    *,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    tricks: bool,
) -> Optimizer:
    """Stochastic gradient descent: our `SGD`, or PyTorch's, which has the same states.

    Raises:
        ValueError: there are no parameters.
    """
    kind = SGD if tricks else torch.optim.SGD
    return kind(params, lr, momentum=momentum, weight_decay=weight_decay)


class SGD(Optimizer):
    """b = momentum b + g + weight_decay p, then p = p - lr b, for every parameter with a gradient.

    The velocity b is 0 before the first update. State dicts are those of `torch.optim.SGD`, and can
    be exchanged with it; PyTorch's schedules of the learning rate take it. Use it with or without a
    `torch.amp.GradScaler`, which hands over its scale and whether to skip this update, so that
    nothing waits for the device.

    Raises:
        ValueError: there are no parameters.
    """

    _step_supports_amp_scaling = True
    """GradScaler reads it, and sets `grad_scale` and `found_inf` for the time of a step."""
    _vectors: Mapping[int, tuple[Tensor, list[Tensor]]] = MappingProxyType({})
    """Velocities that lie in one vector, by the id of the first."""
    halted: Tensor | None = None
    """[] float32, on the device: while it is 1 no parameter changes, though velocities fade."""

    # the methods themselves, without the wrapper that imports torch._dynamo when first called
    add_param_group = unwrap(Optimizer.add_param_group)
    state_dict = unwrap(Optimizer.state_dict)

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float,
        *,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
    ) -> None:
        keys = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        super().__init__(params, {**FIXED, **keys})

    def _patch_step_function(self) -> None:
        """Leave `step` as it is."""

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients, or fill them with zeros."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if set_to_none:
                    parameter.grad = None
                elif parameter.grad is not None:
                    parameter.grad = torch.zeros_like(parameter.grad)

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update every parameter that has a gradient; returns what `closure` does, called first."""
        if self._optimizer_step_pre_hooks or self._optimizer_step_post_hooks:
            return Optimizer.profile_hook_step(type(self)._step)(self, closure)
        return self._step(closure)

    @torch.no_grad()
    def _step(self, closure: Callable[[], float] | None) -> float | None:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            learning = [p for p in group["params"] if p.grad is not None]
            if learning:
                self._update(learning, group)
        return loss

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from such a state, copied; one without velocities is one before any update.

        Raises:
            ValueError: it is a state of other parameters, or of a descent that is not done here.
        """
        _require_known(state_dict["param_groups"])
        unwrap(Optimizer.load_state_dict)(self, state_dict)
        for parameter, state in self.state.items():
            if state.get("momentum_buffer") is not None:
                velocity = torch.empty_like(parameter, memory_format=torch.preserve_format)
                state["momentum_buffer"] = velocity.copy_(state["momentum_buffer"])

    def _update(self, learning: list[Tensor], group: Mapping[str, Any]) -> None:
        momentum, found_inf = group["momentum"], getattr(self, "found_inf", None)
        velocity = self._velocities(learning) if momentum else []
        if velocity and found_inf is None:
            # two roundings, like torch.optim.SGD; the fused kernel alone would round once
            self._multiply(velocity, momentum)
            momentum = 1.0
        torch._fused_sgd_(
            learning,
            [p.grad for p in learning if p.grad is not None],
            velocity,
            weight_decay=group["weight_decay"],
            momentum=momentum,
            lr=group["lr"],
            dampening=0.0,
            nesterov=False,
            maximize=False,
            is_first_step=False,
            grad_scale=getattr(self, "grad_scale", None),
            found_inf=self.halted if found_inf is None else found_inf,
        )

    def _velocities(self, learning: list[Tensor]) -> list[Tensor]:
        """The velocity of each of these, in its memory order; 0 where there was none."""
        states = [self.state[parameter] for parameter in learning]
        found: list[Tensor] = [state.get("momentum_buffer") for state in states]
        missing = [n for n, velocity in enumerate(found) if velocity is None]
        if not missing:
            return found
        vector, fresh = zeros_in_one_vector([learning[n] for n in missing])
        for n, velocity in zip(missing, fresh, strict=True):
            states[n]["momentum_buffer"] = found[n] = velocity
        if vector is not None and len(missing) == len(found):
            self._vectors = {**self._vectors, id(found[0]): (vector, found)}
        return found

    def _multiply(self, velocity: list[Tensor], momentum: float) -> None:
        vector, parts = self._vectors.get(id(velocity[0]), NO_VECTOR)
        if len(parts) == len(velocity) and all(map(is_, parts, velocity)):
            vector.mul_(momentum)
        else:
            torch._foreach_mul_(velocity, momentum)


def _require_known(groups: Iterable[Mapping[str, Any]]) -> None:
    for group in groups:
        for key in ("dampening", "nesterov", "maximize"):
            if group.get(key, FIXED[key]) != FIXED[key]:
                raise ValueError(f"{key}={group[key]}: only torch.optim.SGD does that.")
