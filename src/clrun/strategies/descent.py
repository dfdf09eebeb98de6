"""An optimizer that can be started afresh, with its gradient scaler and the plugins it tells."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from clrun.device.device import Device
from clrun.fast.sgd import SGD
from clrun.profiling.spans import span
from clrun.strategies.plugin import Plugin
from clrun.strategies.shared_keys import SharedKeys


class Descent:
    """Updates of the parameters it was last started with, and of no others."""

    def __init__(self, keys: SharedKeys, device: Device, plugins: Sequence[Plugin]) -> None:
        self.keys, self.plugins = keys, plugins
        self.scaler = device.scaler()
        self.scales = self.scaler.is_enabled()
        self.optimizer: torch.optim.Optimizer | None = None

    def start(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float,
        *,
        faster: Collection[nn.Parameter] = (),
        factor: float = 1.0,
    ) -> None:
        """A new optimizer, without momentum from before, over the trainable ones of these.

        Those that are also in `faster` have `factor` times the step size.
        """
        keys, marked = self.keys, {id(parameter) for parameter in faster} if factor != 1 else set()
        learning = [p for p in parameters if p.requires_grad]
        usual = {"params": [p for p in learning if id(p) not in marked]}
        quick = {"params": [p for p in learning if id(p) in marked], "lr": lr * factor}
        trainable = [group for group in (usual, quick) if group["params"]]
        if keys.optimizer == "sgd":
            self.optimizer = SGD(trainable, lr, momentum=keys.momentum, weight_decay=keys.l2)
        else:
            kind = torch.optim.Adam if keys.optimizer == "adam" else torch.optim.AdamW
            self.optimizer = kind(trainable, lr, weight_decay=keys.l2, fused=True)

    def update(self, loss: Tensor) -> Tensor:
        """Follow the gradient of the loss with all penalties; that sum, detached."""
        assert self.optimizer is not None, "start() comes first"
        with span("plugins"):
            for plugin in self.plugins:
                penalty = plugin.penalty()
                if penalty is not None:
                    loss = loss + penalty
        with span("backward"):
            self.optimizer.zero_grad(set_to_none=True)
            (self.scaler.scale(loss) if self.scales else loss).backward()
        with span("plugins"):
            if self.scales and self.plugins:
                self.scaler.unscale_(self.optimizer)  # plugins read true gradients
            for plugin in self.plugins:
                plugin.before_update()
        with span("optimizer"):
            self._step(self.optimizer)
        with span("plugins"):
            for plugin in self.plugins:
                plugin.after_update()
        return loss.detach()

    def _step(self, optimizer: torch.optim.Optimizer) -> None:
        if self.scales:
            self.scaler.step(optimizer)
            self.scaler.update()
        else:
            optimizer.step()

    def state_dict(self) -> dict[str, Any]:
        return {
            "optimizer": None if self.optimizer is None else self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "plugins": [plugin.state_dict() for plugin in self.plugins],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from such a state; `start` with the same parameters came before."""
        if self.optimizer is not None and state["optimizer"] is not None:
            self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        for plugin, saved in zip(self.plugins, state["plugins"], strict=True):
            plugin.load_state_dict(saved)
