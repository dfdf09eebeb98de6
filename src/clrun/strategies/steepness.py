"""A penalty that is too steep for gradient descent, said before the loss becomes NaN."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Protocol, runtime_checkable

from torch.optim import Optimizer

from clrun.strategies.plugin import Plugin

log = logging.getLogger("clrun.note")


@runtime_checkable
class Quadratic(Protocol):
    """A plugin whose penalty is a quadratic of each parameter."""

    weight_key: str
    """the key that its penalty is multiplied by"""

    def curvature(self) -> float:
        """The largest second derivative of the penalty; 0 where there is none."""


def note_steep(plugins: Iterable[Plugin], optimizer: Optimizer | None) -> None:
    """Say which penalties momentum SGD will diverge on: its steps grow where step size times
    curvature is above 2 (1 + momentum). Adam's steps have the size of its step size whatever the
    gradient."""
    for plugin in plugins:
        if not isinstance(plugin, Quadratic) or optimizer is None:
            continue
        groups = [group for group in optimizer.param_groups if "momentum" in group]
        limits = [2 * (1 + group["momentum"]) / group["lr"] for group in groups if group["lr"] > 0]
        curvature = plugin.curvature()
        if limits and curvature > min(limits):
            log.warning(
                "strategy.plugins: the penalty of %s is %.2g times as steep as strategy.lr allows, "
                "and the loss may become NaN. Use a smaller %s or strategy.lr, or "
                "strategy.optimizer=adam.",
                type(plugin).__name__,
                curvature / min(limits),
                plugin.weight_key,
            )
